use super::*;
use proptest::prelude::*;

/// The records of `/bin/su -` by a user, as Linux 6.18 wrote them.
const RECORDS: [(u16, &str); 7] = [
    (
        SYSCALL,
        "arch=c000003e syscall=59 success=yes exit=0 a0=55d a1=55e a2=55f a3=8 items=2 ppid=811 pid=812 auid=1000 \
         uid=1000 gid=100 euid=0 suid=0 fsuid=0 egid=100 sgid=100 fsgid=100 tty=pts3 ses=7 comm=\"su\" \
         exe=\"/usr/bin/su\" subj=unconfined uid=7 key=\"luytre\"",
    ),
    (BPRM_FCAPS, "fver=0 fp=0 fi=0 fe=0 old_pp=0 old_pi=0 old_pe=0 old_pa=0 pp=3 pi=0 pe=3 pa=0"),
    (EXECVE, "argc=2 a0=\"su\" a1=\"-\""),
    (CWD, "cwd=2F746D702F61206220"),
    (PATH, "item=0 name=\"/bin/su\" inode=77 dev=fe:00 mode=0104755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL"),
    (PATH, "item=1 name=\"/lib64/ld.so\" inode=78 dev=fe:00 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL"),
    (EOE, ""),
];

fn record(serial: u32, body: &str) -> Vec<u8> {
    format!("audit(1700000000.123:{serial}): {body}").into_bytes()
}

fn take_all(assembler: &mut Assembler, serial: u32, records: &[(u16, &str)]) -> Vec<Exec> {
    records.iter().filter_map(|(kind, body)| assembler.take(*kind, &record(serial, body))).collect()
}

#[test]
fn records_make_an_exec() {
    let mut assembler = Assembler::default();
    let found = take_all(&mut assembler, 5, &RECORDS);
    let exec = &found[0];
    assert_eq!((found.len(), exec.id), (1, Id { time: 1_700_000_000_123, serial: 5 }));
    assert_eq!(
        (exec.pid, exec.parent_pid, exec.uid, exec.euid, exec.gid, exec.login_uid),
        (812, 811, 1000, 0, 100, 1000)
    );
    assert_eq!((exec.tty.name(), &*exec.name, &*exec.executable), ("pts/3".into(), "su", "/usr/bin/su"));
    assert_eq!((&*exec.working_directory, exec.capabilities_gained), ("/tmp/a b ", 3));
    assert_eq!(exec.arguments, Some((b"su\0-\0".to_vec(), false)));
    assert_eq!(exec.files[0], File { name: "/bin/su".into(), inode: 77, mode: 0o104755, owner: 0 });
    assert!(assembler.open.is_empty() && assembler.order.is_empty());
}

#[test]
fn events_may_be_told_at_the_same_time() {
    let mut assembler = Assembler::default();
    let mut found = Vec::new();
    for (kind, body) in RECORDS {
        for serial in 0..3 {
            found.extend(assembler.take(kind, &record(serial, body)));
        }
    }
    assert_eq!(found.iter().map(|exec| exec.id.serial).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(found.iter().all(|exec| exec.arguments == Some((b"su\0-\0".to_vec(), false))));
}

#[test]
fn what_failed_and_what_is_no_exec_is_left_out() {
    let mut assembler = Assembler::default();
    let failed = RECORDS[0].1.replace("success=yes", "success=no");
    assert_eq!(take_all(&mut assembler, 1, &[(SYSCALL, &failed), RECORDS[2], RECORDS[6]]), []);
    assert_eq!(take_all(&mut assembler, 2, &[RECORDS[0], RECORDS[3], RECORDS[6]]), [], "an open(2), say");
    assert_eq!(take_all(&mut assembler, 3, &RECORDS[1..]), [], "its first record was lost");
    assert!(assembler.take(SYSCALL, b"nonsense").is_none());
    assert_eq!((assembler.malformed(), assembler.incomplete()), (1, 0));
}

#[test]
fn events_without_an_end_are_bounded_and_counted() {
    let mut assembler = Assembler::default();
    for serial in 0..2 * OPEN as u32 {
        assert!(assembler.take(SYSCALL, &record(serial, RECORDS[0].1)).is_none());
    }
    assert_eq!((assembler.open.len(), assembler.order.len(), assembler.incomplete()), (OPEN, OPEN, OPEN as u64));
}

#[test]
fn terminals_are_told_by_the_names_of_their_drivers() {
    for (name, device) in
        [("pts3", "pts/3"), ("pts300", "pts/300"), ("tty1", "tty1"), ("ttyS0", "ttyS0"), ("hvc0", "hvc0")]
    {
        assert_eq!(terminal(name).name(), device);
    }
    assert_eq!((terminal("(none)"), terminal("pts")), Default::default());
}

proptest! {
    #[test]
    fn never_panics_whatever_the_records_became(
        kinds in proptest::collection::vec(0usize..7, 0..40),
        flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..20),
        cut in any::<usize>(),
    ) {
        let mut assembler = Assembler::default();
        for (turn, kind) in kinds.into_iter().enumerate() {
            let (kind, body) = RECORDS[kind];
            let mut bytes = record(turn as u32 % 3, body);
            for (at, byte) in &flips {
                let length = bytes.len();
                bytes[at % length] = *byte;
            }
            bytes.truncate(cut % (2 * bytes.len()));
            if let Some(exec) = assembler.take(kind, &bytes) {
                prop_assert!(exec.size() < 3 * ARGS_MAX);
            }
            prop_assert!(assembler.open.len() <= 40);
        }
    }
}
