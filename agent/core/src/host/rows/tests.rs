use super::super::table::entity;
use super::*;
use crate::columns::json::to_json_lines;
use crate::schema::PROCESSES;

const BOOT: &str = "6b5c7b1c-bf0c-4402-87f8-00f4797f7c7f";
const SECOND: u64 = 1_000_000_000;

/// Rows on a machine whose /proc is `procfs`; none by default.
fn rows(procfs: &str) -> Rows {
    let mut users = Users::new("/etc/passwd");
    users.refresh();
    let clock = Clock::new().expect("the clocks");
    Rows::new("ebpf", BOOT.into(), Procfs::new(procfs), users, clock, Limits { entries: 4, bytes: 10_000 })
}

fn event(action: Action, pid: u32, parent_pid: u32) -> Event {
    Event {
        action,
        time: 9 * SECOND,
        pid,
        start: 5 * SECOND,
        parent_pid,
        parent_start: if parent_pid == 0 { 0 } else { 5 * SECOND },
        name: format!("name-{pid}"),
        parent_name: format!("name-{parent_pid}"),
        identity: Some(Identity { uid: 0, euid: 1, gid: 2, login_uid: 3, cgroup: 4, ..Identity::UNKNOWN }),
    }
}

fn program(pid: u32) -> Action {
    Action::Exec(Image { executable: format!("/bin/{pid}"), command_line: format!("{pid} -x"), ..Image::default() })
}

/// What comes of the events: the rows as JSON, one a line.
fn lines(rows: &mut Rows, events: impl IntoIterator<Item = Event>) -> Vec<String> {
    let mut builder = TableBuilder::new(&PROCESSES);
    for event in events {
        rows.take(event, &mut builder);
    }
    let Some(sealed) = builder.seal() else { return Vec::new() };
    let json = String::from_utf8(to_json_lines(&sealed, 0).expect("our own")).expect("JSON is UTF-8");
    json.lines().map(str::to_owned).collect()
}

fn has(line: &str, column: &str, value: &str) -> bool {
    line.contains(&format!("\"{column}\":{value}")) || line.contains(&format!("\"{column}\": {value}"))
}

#[test]
fn the_parent_is_joined_and_the_start_makes_the_identity() {
    let mut rows = rows("/nonexistent");
    let lines = lines(&mut rows, [event(program(7), 7, 0), event(program(8), 8, 7)]);
    assert!(has(&lines[0], "process_oddities", "\"place_unknown\""), "{}", lines[0]);
    for (column, value) in [
        ("process_entity_id", entity(BOOT, 8, 500).to_string()),
        ("process_parent_entity_id", entity(BOOT, 7, 500).to_string()),
        ("process_parent_executable", "\"/bin/7\"".into()),
        ("process_parent_command_line", "\"7 -x\"".into()),
        ("user_name", "\"root\"".into()),
        ("user_effective_id", "1".into()),
        ("group_id", "2".into()),
        ("user_audit_id", "3".into()),
        ("process_cgroup_id", "4".into()),
    ] {
        assert!(has(&lines[1], column, &value), "{column} is not {value}: {}", lines[1]);
    }
    assert_eq!(rows.counts().exec, 2);
}

#[test]
fn a_process_ends_once() {
    let mut rows = rows("/nonexistent");
    let events = [event(program(7), 7, 0), event(Action::Exit(256, None), 7, 0), event(Action::Exit(256, None), 7, 0)];
    let lines = lines(&mut rows, events);
    assert_eq!(lines.len(), 2);
    assert!(has(&lines[1], "process_exit_code", "1") && has(&lines[1], "process_lifetime", "4000000"), "{}", lines[1]);
    assert_eq!((rows.counts().exit, rows.counts().exit_duplicate), (1, 1));
}

#[test]
fn what_nobody_knows_is_said_and_counted() {
    let mut rows = rows("/nonexistent");
    let mut unknown = event(Action::Exit(0, None), 7, 6);
    unknown.identity = None;
    let lines = lines(&mut rows, [unknown]);
    assert!(
        has(
            &lines[0],
            "process_oddities",
            "\"exe_unknown args_unknown parent_unknown user_unknown place_unknown usage_unknown\""
        ),
        "{lines:?}"
    );
    assert_eq!((rows.counts().place_unknown, rows.counts().usage_unknown), (1, 1));
    assert!(has(&lines[0], "user_id", "4294967295") && has(&lines[0], "user_name", "\"\""), "not root: {}", lines[0]);
    assert!(has(&lines[0], "process_parent_name", "\"name-6\""), "the kernel said that much");
    let counts = rows.counts();
    assert_eq!((counts.exe_unknown, counts.args_unknown, counts.parent_unknown, counts.user_unknown), (1, 1, 1, 1));
    assert_eq!(counts.parent_read, 1, "and /proc was asked");
}

#[test]
fn a_reused_pid_is_another_process() {
    let mut rows = rows("/nonexistent");
    let mut later = event(Action::Exit(0, None), 7, 0);
    later.start = 6 * SECOND;
    let lines = lines(&mut rows, [event(program(7), 7, 0), later]);
    assert!(has(&lines[1], "process_executable", "\"\""), "not the program of the earlier one: {}", lines[1]);
    assert!(has(&lines[1], "process_entity_id", &entity(BOOT, 7, 600).to_string()));
}

#[test]
fn a_parent_that_was_forgotten_is_read_again() {
    let mut rows = rows("/proc");
    let me = std::process::id();
    let mut child = event(program(4_000_000_000), 4_000_000_000, me);
    child.parent_start = rows.procfs().start(me).expect("this process");
    let lines = lines(&mut rows, [child.clone(), child]);
    let executable = std::env::current_exe().expect("known");
    for line in lines {
        assert!(has(&line, "process_parent_executable", &format!("\"{}\"", executable.display())), "{line}");
    }
    assert_eq!(rows.counts().parent_read, 1, "once");
}

#[test]
fn a_start_that_is_unknown_makes_no_identity() {
    let mut rows = rows("/nonexistent");
    let mut late = event(Action::Exit(9, None), 7, 0);
    late.start = 0;
    let lines = lines(&mut rows, [late]);
    assert!(has(&lines[0], "process_entity_id", "0") && has(&lines[0], "process_lifetime", "0"), "{}", lines[0]);
    assert!(has(&lines[0], "process_exit_code", "-9"), "{}", lines[0]);
}

#[test]
fn the_table_stays_small() {
    let mut rows = rows("/nonexistent");
    lines(&mut rows, (0..20).map(|pid| event(program(pid), pid, 0)));
    assert_eq!((rows.known(), rows.evicted()), (4, 16));
}

#[test]
fn what_runs_already_is_learnt() {
    let mut rows = rows("/proc");
    rows.table = Table::new(Limits::default());
    rows.seed(None).expect("a clock");
    let me = rows.table.get(std::process::id()).cloned().expect("this process");
    assert_eq!(me.parent.pid, std::os::unix::process::parent_id());
    let parent = rows.table.get(me.parent.pid).cloned().expect("our parent");
    assert_eq!(me.parent.entity, parent.entity);
    assert_eq!(me.parent.program, Some(parent.program));
}
