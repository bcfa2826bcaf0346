//! Where a process runs, by the paths of its cgroups: the systemd unit and the container. Pure: text to [`Place`].
//!
//! The forms are those of systemd.unit(5) with systemd-escape(1), and of what container runtimes make: `docker/ID`,
//! `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`, `kubepods/.../podUID/ID`,
//! `lxc/NAME`, `lxc.payload.NAME`, `system.slice:docker:ID` and the like.

/// What the cgroups of a process tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The innermost service or scope, of the user's own manager too; empty if there is none.
    pub unit: String,
    /// Empty outside of containers.
    pub container: String,
    /// docker, containerd, cri-o, podman, lxc; empty outside of containers, or if the path does not say.
    pub runtime: &'static str,
}

/// Length of a container id: a SHA-256 in hexadecimal digits.
const ID: usize = 64;
/// Longest name that is kept of an LXC container or of a unit: UNIT_NAME_MAX of systemd.
const NAME_MAX: usize = 255;

/// Reads /proc/PID/cgroup (cgroups(7)): lines `HIERARCHY:CONTROLLERS:PATH`. The unified hierarchy and systemd's own
/// one tell the unit; any tells the container.
pub fn parse(content: &str) -> Place {
    let mut place = Place::default();
    for line in content.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let found = of_path(path);
        if place.unit.is_empty() && (controllers.is_empty() || controllers == "name=systemd") {
            place.unit = found.unit;
        }
        if place.container.is_empty() || (place.runtime.is_empty() && found.container == place.container) {
            (place.container, place.runtime) = (found.container, found.runtime);
        }
    }
    place
}

/// What the paths in the unified tree and in that of the memory controller tell.
pub fn of_paths(unified: &str, memory: &str) -> Place {
    let (mut place, other) = (of_path(unified), of_path(memory));
    if place.unit.is_empty() {
        place.unit = other.unit;
    }
    if place.container.is_empty() || (place.runtime.is_empty() && other.container == place.container) {
        (place.container, place.runtime) = (other.container, other.runtime);
    }
    place
}

/// What one path tells.
pub fn of_path(path: &str) -> Place {
    let mut place = Place::default();
    let (mut above, mut pod) = ("", false);
    for name in path.split('/').filter(|name| !name.is_empty()) {
        pod |= name.starts_with("kubepods");
        if let Some((id, runtime)) = container(above, name, pod) {
            (place.container, place.runtime) = (id.to_owned(), runtime);
        }
        if (name.ends_with(".service") || name.ends_with(".scope")) && name.len() <= NAME_MAX {
            place.unit = unescape(name);
        }
        above = name;
    }
    place
}

/// The container that a folder of this name, below `above`, is for.
fn container<'a>(above: &str, name: &'a str, pod: bool) -> Option<(&'a str, &'static str)> {
    if let Some(of) = name.strip_prefix("lxc.payload.").or_else(|| name.strip_prefix("lxc.payload/")) {
        return Some((of, "lxc"));
    }
    if above == "lxc" || above == "lxc.payload" {
        return (name.len() <= NAME_MAX).then_some((name, "lxc"));
    }
    // The cgroupfs driver of containerd and of runc writes SLICE:PREFIX:ID when it is told the systemd form.
    let stem = name.strip_suffix(".scope").unwrap_or(name).trim_end_matches(".service");
    let (prefix, id) = match stem.rsplit_once(['-', ':']) {
        Some((prefix, id)) if is_id(id) => (prefix, id),
        _ if is_id(stem) => ("", stem),
        _ => return None,
    };
    let runtime = match prefix.rsplit(':').next().unwrap_or_default() {
        "docker" => "docker",
        "cri-containerd" | "nerdctl" | "containerd" => "containerd",
        "crio" => "cri-o",
        "libpod" => "podman",
        // Their monitors are processes of the host.
        "crio-conmon" | "libpod-conmon" => return None,
        "" => match above {
            "docker" => "docker",
            "libpod_parent" | "libpod" => "podman",
            "default" | "k8s.io" | "moby" | "containerd" => "containerd",
            _ if above.starts_with("libpod") => "podman",
            _ if pod => "",
            _ => return None,
        },
        _ if pod => "",
        _ => return None,
    };
    Some((id, runtime))
}

fn is_id(text: &str) -> bool {
    text.len() == ID && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// `\xHH` back to the character, as systemd-escape(1) wrote it.
fn unescape(name: &str) -> String {
    if !name.contains("\\x") {
        return name.to_owned();
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(name.len()), name.as_bytes());
    while let Some((&first, tail)) = rest.split_first() {
        let digits = rest.get(2..4).filter(|_| rest.starts_with(b"\\x"));
        match digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &rest[4..]).1,
            None => (bytes.push(first), rest = tail).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const I: &str = "3f4e5d6c7b8a90123f4e5d6c7b8a90123f4e5d6c7b8a90123f4e5d6c7b8a9012";

    #[test]
    fn paths_of_every_kind() {
        let pod = "pod1a2b3c4d-0000-1111-2222-333344445555";
        let cases = [
            ("/".into(), "", "", ""),
            ("/system.slice/nginx.service".into(), "nginx.service", "", ""),
            ("/system.slice/system-getty.slice/getty@tty1.service".into(), "getty@tty1.service", "", ""),
            (r"/system.slice/a\x2db.service".into(), "a-b.service", "", ""),
            ("/user.slice/user-1000.slice/session-3.scope".into(), "session-3.scope", "", ""),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/foot.service".into(), "foot.service", "", ""),
            ("/init.scope".into(), "init.scope", "", ""),
            (format!("/docker/{I}"), "", I, "docker"),
            (format!("/docker/{I}/system.slice/cron.service"), "cron.service", I, "docker"),
            (format!("/system.slice/docker-{I}.scope"), "docker-UNIT", I, "docker"),
            (format!("/default/{I}"), "", I, "containerd"),
            (format!("/system.slice/nerdctl-{I}.scope"), "nerdctl-UNIT", I, "containerd"),
            (
                format!("/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:{I}"),
                "containerd.service",
                I,
                "containerd",
            ),
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-{I}.scope"
                ),
                "cri-containerd-UNIT",
                I,
                "containerd",
            ),
            (format!("/kubepods.slice/kubepods-pod1.slice/crio-{I}.scope"), "crio-UNIT", I, "cri-o"),
            (format!("/kubepods.slice/kubepods-pod1.slice/crio-conmon-{I}.scope"), "crio-conmon-UNIT", "", ""),
            (format!("/kubepods.slice/kubepods-pod1.slice/docker-{I}.scope"), "docker-UNIT", I, "docker"),
            (format!("/kubepods/besteffort/{pod}/{I}"), "", I, ""),
            (format!("/machine.slice/libpod-{I}.scope"), "libpod-UNIT", I, "podman"),
            (format!("/machine.slice/libpod-{I}.scope/container"), "libpod-UNIT", I, "podman"),
            (format!("/machine.slice/libpod-conmon-{I}.scope"), "libpod-conmon-UNIT", "", ""),
            (
                format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{I}.scope"),
                "libpod-UNIT",
                I,
                "podman",
            ),
            (format!("/libpod_parent/libpod-{I}"), "", I, "podman"),
            ("/lxc/web".into(), "", "web", "lxc"),
            ("/lxc.payload.web/system.slice/sshd.service".into(), "sshd.service", "web", "lxc"),
            ("/lxc.payload/web".into(), "", "web", "lxc"),
            (format!("/builds/{I}"), "", "", ""),
            (format!("/docker/{}", &I[1..]), "", "", ""),
            (format!("/docker/{}", I.to_uppercase()), "", "", ""),
        ];
        for (path, unit, container, runtime) in cases {
            let unit = unit.replace("UNIT", &format!("{I}.scope"));
            assert_eq!(of_path(&path), Place { unit, container: container.into(), runtime }, "{path}");
        }
    }

    #[test]
    fn both_versions_of_cgroups_are_read() {
        let v1 = format!("12:pids:/docker/{I}\n3:cpu,cpuacct:/docker/{I}\n1:name=systemd:/docker/{I}\n0::/\n");
        assert_eq!(parse(&v1), Place { unit: "".into(), container: I.into(), runtime: "docker" });
        let hybrid = "9:memory:/system.slice/x.service\n1:name=systemd:/system.slice/ssh.service\n0::/\n";
        assert_eq!(parse(hybrid).unit, "ssh.service");
        assert_eq!(parse(&format!("0::/system.slice/docker-{I}.scope\n")).container, I);
        assert_eq!(parse("0::/a:b.service/x\n").unit, "a:b.service", "a colon in the path");
        assert_eq!(parse("junk\n\n7:\n"), Place::default());
    }

    proptest! {
        #[test]
        fn never_panics(content in "([0-9a-f:/\\\\x.-]|docker|lxc|scope|\n|é){0,80}") {
            let _ = parse(&content);
        }
    }
}
