use super::*;

fn status(enabled: u32, owner: u32) -> Status {
    let words = [0, enabled, 1, owner, 0, 64, 0, 0, 127, 15000, 0];
    Status::parse(&words.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect::<Vec<_>>()).expect("whole")
}

fn rule(key: &str) -> Rule {
    let (arch, calls) = EXECS[0];
    Rule::of_execs(arch, &calls, key)
}

fn never() -> Rule {
    let mut bytes = rule("").bytes;
    bytes[..4].copy_from_slice(&1u32.to_ne_bytes()); // on the list of tasks
    bytes[4..8].copy_from_slice(&0u32.to_ne_bytes()); // never
    Rule::parse(&bytes).expect("whole")
}

#[test]
fn where_nobody_owns_audit_the_rules_are_ours() {
    let (off, before) = (status(0, 0), status(2, 0).settings());
    assert_eq!(plan(&off, &[], None), Ok(Plan::Own(off.settings())));
    assert_eq!(plan(&off, &[rule("")], None), Ok(Plan::Own(off.settings())), "rules that are not in force");
    assert_eq!(plan(&status(1, 0), &[], Some(before)), Ok(Plan::Own(before)), "a crashed agent's notes");
}

#[test]
fn another_agent_that_lives_audits_for_both() {
    let key = Mark { pid: 7, start: 8, before: status(0, 0).settings() }.to_text();
    assert_eq!(key, "luytre:7:8:w15000b64f1r0e0");
    assert_eq!(plan(&status(1, 0), &[rule(&key)], None), Ok(Plan::Read));
}

#[test]
fn auditd_is_left_alone() {
    let owned = status(1, 812);
    let refused = "auditd owns audit (pid 812) and has no rule for every execve";
    assert_eq!(plan(&owned, &[], None), Err(refused.into()));
    assert_eq!(plan(&owned, &[rule("theirs")], None), Ok(Plan::Read));
    assert_eq!(plan(&status(0, 812), &[rule("theirs")], None), Err(refused.into()), "turned off");
}

#[test]
fn what_is_locked_or_blinded_is_refused() {
    assert_eq!(plan(&status(2, 0), &[rule("theirs")], None), Ok(Plan::Read));
    assert_eq!(plan(&status(2, 0), &[], None), Err("audit is locked until the next boot (enabled is 2)".into()));
    let blinded = plan(&status(1, 812), &[rule(""), never()], None);
    assert_eq!(blinded, Err("an audit rule (task,never) keeps processes from being audited; delete it".into()));
}

#[test]
fn it_is_noticed_when_execs_are_no_longer_audited() {
    let check =
        |tap: &Tap, status: Status, rules: &[Rule]| tap.check(&status, rules).map_err(|error| error.to_string());
    let ours = Tap::Ours(status(0, 0).settings(), vec![rule("")]);
    assert_eq!(check(&ours, status(1, 0), &[rule("")]), Ok(()));
    assert_eq!(check(&ours, status(1, 9), &[rule("")]), Err("process 9 has become the owner of audit".into()));
    let gone = Err("the rules that audit execve(2) are gone, or audit was turned off".into());
    assert_eq!(check(&ours, status(1, 0), &[]), gone);
    assert_eq!(check(&Tap::Others, status(0, 9), &[rule("")]), gone);
    assert_eq!(check(&Tap::Others, status(1, 9), &[rule("")]), Ok(()));
}

#[test]
fn keys_of_others_are_no_marks() {
    for key in ["", "luytre", "luytre:7", "luytre:7:8:e0", "luytre:7:x:w0b64f1r0e0", "exec", "luytre:-1:8:b64f1r0e0"] {
        let found = Mark::parse(key);
        assert!(found.is_none() || key == "luytre:7:8:e0", "{key}: {found:?}");
    }
}
