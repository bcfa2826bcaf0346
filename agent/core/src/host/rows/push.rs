//! A known process as a row.

use super::Rows;
use crate::columns::TableBuilder;
use crate::schema::ProcessesRow;

use super::super::cgroup::Place;
use super::super::event::{Event, Identity, NO_USER, Usage, capability_names, exit_code};
use super::super::table::{Process, Program};

/// What a row says besides.
#[derive(Clone, Copy)]
pub(super) enum About<'a> {
    Nothing,
    /// The status and what was used, if known.
    End(Option<u32>, Option<Usage>),
    /// Another process, by its pid, if it is known.
    Target(u32, Option<&'a Process>),
}

impl Rows {
    pub(super) fn push(
        &mut self,
        event: &Event,
        action: &str,
        process: &Process,
        about: About,
        builder: &mut TableBuilder,
    ) {
        let Program { name, image } = &*process.program;
        let parent = process.parent.program.as_deref();
        let oddities = self.oddities(process, about);
        let identity = process.identity.unwrap_or(Identity::UNKNOWN);
        let unknown_place = Place::default();
        let place = process.place.as_deref().unwrap_or(&unknown_place);
        let digest = image.sha256.clone().or_else(|| self.digest(image));
        let (is_end, status, usage) = match about {
            About::End(status, usage) => (true, status, usage.unwrap_or_default()),
            _ => (false, None, Usage::default()),
        };
        let (target_pid, target) = match about {
            About::Target(pid, target) => (pid, target),
            _ => (0, None),
        };
        let target_user = target.and_then(|target| target.identity).map_or(NO_USER, |identity| identity.euid);
        let set_id = match (image.set_uid, image.set_gid) {
            (true, true) => "setuid setgid",
            (true, false) => "setuid",
            (false, true) => "setgid",
            (false, false) => "",
        };
        ProcessesRow {
            event_time: self.clock.utc(event.time),
            event_action: action,
            event_source: self.source,
            process_pid: event.pid,
            process_entity_id: process.entity,
            process_start: if process.start == 0 { 0 } else { self.clock.utc(process.start) },
            process_name: if event.name.is_empty() { name } else { &event.name },
            process_executable: &image.executable,
            process_command_line: &image.command_line,
            process_working_directory: &image.working_directory,
            process_parent_pid: process.parent.pid,
            process_parent_entity_id: process.parent.entity,
            process_parent_name: parent.map_or("", |program| &program.name),
            process_parent_executable: parent.map_or("", |program| &program.image.executable),
            process_parent_command_line: parent.map_or("", |program| &program.image.command_line),
            user_id: identity.uid,
            user_name: self.users.name(identity.uid),
            user_effective_id: identity.euid,
            group_id: identity.gid,
            user_audit_id: identity.login_uid,
            process_cgroup_id: identity.cgroup,
            process_exit_code: status.map_or(0, exit_code),
            process_lifetime: match process.start {
                start if is_end && start != 0 => event.time.saturating_sub(start) / 1000,
                _ => 0,
            },
            process_args: &image.arguments,
            process_script: &image.script,
            process_hash_sha256: digest.as_deref().unwrap_or_default(),
            user_effective_name: self.users.name(identity.euid),
            process_tty: &identity.tty.name(),
            process_session_id: identity.session,
            process_capabilities_gained: &capability_names(image.capabilities_gained),
            process_set_id: set_id,
            process_pid_namespace_id: identity.pid_namespace,
            process_mount_namespace_id: identity.mount_namespace,
            process_network_namespace_id: identity.network_namespace,
            systemd_unit: &place.unit,
            container_id: &place.container,
            container_runtime: place.runtime,
            process_cpu_time: usage.cpu / 1000,
            process_io_read_bytes: usage.read,
            process_io_write_bytes: usage.written,
            process_target_pid: target_pid,
            process_target_entity_id: target.map_or(0, |target| target.entity),
            process_target_name: target.map_or("", |target| &target.program.name),
            process_target_executable: target.map_or("", |target| &target.program.image.executable),
            process_target_user_name: self.users.name(target_user),
            process_oddities: &oddities,
        }
        .push(builder);
    }

    pub(super) fn oddities(&mut self, process: &Process, about: About) -> String {
        let image = &process.program.image;
        let program = process.parent.program.as_deref();
        let parent_unknown = process.parent.pid != 0 && program.is_none_or(|program| program.image.executable_unknown);
        let found = [
            (image.args_truncated, "args_truncated", &mut self.counts.args_truncated),
            (image.executable_unknown, "exe_unknown", &mut self.counts.exe_unknown),
            (image.args_unknown, "args_unknown", &mut self.counts.args_unknown),
            (parent_unknown, "parent_unknown", &mut self.counts.parent_unknown),
            (process.identity.is_none(), "user_unknown", &mut self.counts.user_unknown),
            (process.place.is_none(), "place_unknown", &mut self.counts.place_unknown),
            (matches!(about, About::End(_, None)), "usage_unknown", &mut self.counts.usage_unknown),
            (matches!(about, About::End(None, _)), "exit_unknown", &mut self.counts.exit_unknown),
        ];
        let mut oddities = String::new();
        for (_, name, count) in found.into_iter().filter(|(present, ..)| *present) {
            *count += 1;
            if !oddities.is_empty() {
                oddities.push(' ');
            }
            oddities.push_str(name);
        }
        oddities
    }
}
