//! Compiles the eBPF programs. A machine without clang or the libbpf headers still builds: the object is then empty and
//! the eBPF rung says so when it is tried.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    let sources = Path::new("../luytre_agent/ebpf");
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", sources.display());
    println!("cargo::rerun-if-env-changed=CLANG");
    let mut missing = String::new();
    for name in ["processes", "sockets"] {
        let object = folder.join(format!("{name}.bpf.o"));
        if let Err(reason) = compile(&sources.join(format!("{name}.bpf.c")), &object) {
            println!("cargo::warning=no eBPF object in this build: {reason}");
            fs::write(&object, []).expect("OUT_DIR is writable");
            missing = reason;
        }
    }
    println!("cargo::rustc-env=LUYTRE_EBPF_MISSING={missing}");
}

/// The reason if the tools are missing; a program that does not compile ends the build.
fn compile(program: &Path, object: &Path) -> Result<(), String> {
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".into());
    if Command::new(&clang).arg("--version").output().is_err() {
        return Err("clang was missing when it was built".into());
    }
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets the target");
    // Debian keeps asm/types.h in a folder of the architecture, which `-target bpf` does not search.
    let include = format!("-I/usr/include/{architecture}-linux-gnu");
    let common = ["-O2", "-g", "-target", "bpf", "-Wall", "-Werror", &include];

    let probe = object.with_extension("probe.c");
    fs::write(&probe, "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n").expect("OUT_DIR is writable");
    let found = Command::new(&clang).args(common).arg("-fsyntax-only").arg(&probe).output();
    match found {
        Ok(found) if found.status.success() => {}
        _ => {
            return Err(
                "the libbpf headers (libbpf-dev) or a BPF back end of clang were missing when it was built".into()
            );
        }
    }

    let built = Command::new(&clang).args(common).arg("-c").arg(program).arg("-o").arg(object).output();
    let built = built.unwrap_or_else(|error| panic!("{clang}: {error}"));
    assert!(built.status.success(), "{}:\n{}", program.display(), String::from_utf8_lossy(&built.stderr));
    Ok(())
}
