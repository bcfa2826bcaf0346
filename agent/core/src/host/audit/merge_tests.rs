use super::super::assemble::{Assembler, EOE, EXECVE, SYSCALL};
use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

/// How long before the exec its system call begins, milliseconds.
const BEFORE: u64 = 30;

/// CLOCK_MONOTONIC began in 1970 here.
fn wall(monotonic: u64) -> u64 {
    monotonic / MS
}

fn exec(pid: u32, time_ms: u64) -> Exec {
    let mut assembler = Assembler::default();
    let record = |body: &str| format!("audit({}.{:03}:7): {body}", time_ms / 1000, time_ms % 1000).into_bytes();
    assembler.take(SYSCALL, &record(&format!("success=yes pid={pid}")));
    assembler.take(EXECVE, &record("argc=1 a0=\"x\""));
    assembler.take(EOE, &record("")).expect("an exec")
}

fn fork(child: u32) -> Message {
    Message::Fork { time: 0, parent: 1, child }
}

fn exit(pid: u32) -> Message {
    Message::Exit { time: 0, pid, status: 0, parent: 1 }
}

#[test]
fn an_exec_waits_for_its_record_and_what_follows_waits_too() {
    let mut merge = Merge::default();
    for message in [fork(7), Message::Exec { time: 100 * MS, pid: 7 }, exit(7)] {
        merge.told(message, 0);
    }
    assert_eq!(merge.next(1, wall), Some(Step::Told(fork(7))));
    assert_eq!(merge.next(1, wall), None);
    merge.audited(exec(7, 101), 2);
    assert_eq!(merge.next(3, wall), Some(Step::Exec(100 * MS, 7, Some(Box::new(exec(7, 101))))));
    assert_eq!(merge.next(3, wall), Some(Step::Told(exit(7))));
    assert!(merge.is_empty() && merge.unaudited() == 0);
}

#[test]
fn execs_of_one_process_keep_their_order() {
    let mut merge = Merge::default();
    for time in [100, 101] {
        merge.told(Message::Exec { time: time * MS, pid: 7 }, 0);
        merge.audited(exec(7, time), 0);
    }
    for time in [100, 101] {
        assert_eq!(merge.next(1, wall), Some(Step::Exec(time * MS, 7, Some(Box::new(exec(7, time))))));
    }
}

#[test]
fn the_record_of_a_later_exec_is_not_taken_for_an_earlier_one() {
    let mut merge = Merge::default();
    merge.told(Message::Exec { time: 100 * MS, pid: 7 }, 0);
    merge.audited(exec(7, 500), 400 * MS);
    assert_eq!(merge.next(500 * MS, wall), None);
    assert_eq!(merge.next(PATIENCE, wall), Some(Step::Exec(100 * MS, 7, None)));
    assert_eq!(merge.unaudited(), 1);
    assert_eq!(merge.next(PATIENCE, wall), None, "the record waits for its own exec");
    assert_eq!(merge.next(PATIENCE + 400 * MS, wall), Some(Step::Alone(Box::new(exec(7, 500)))));
}

#[test]
fn what_waits_is_bounded() {
    let mut merge = Merge::default();
    for pid in 0..MESSAGES as u32 + 10 {
        merge.told(Message::Exec { time: 0, pid }, 0);
    }
    let mut forced = 0;
    while merge.next(0, wall).is_some() {
        forced += 1;
    }
    assert_eq!((forced, merge.unaudited()), (11, 11));
    let mut merge = Merge::default();
    let most = BYTES / exec(1, 1).size() + 1;
    for pid in 1..most as u32 + 10 {
        merge.audited(exec(pid, 1), 0);
        let forced = merge.next(0, wall).is_some();
        assert!(merge.bytes <= BYTES && forced == (pid as usize >= most), "{pid}");
    }
}

proptest! {
    #[test]
    fn every_exec_comes_out_once_with_its_own_record(
        pids in proptest::collection::vec(1u32..4, 0..60), lost in any::<u64>(), of_connector in any::<bool>(),
    ) {
        let (mut merge, mut expected, mut found) = (Merge::default(), Vec::new(), Vec::new());
        let mut take = |merge: &mut Merge, now: u64| {
            while let Some(step) = merge.next(now, wall) {
                found.push(match step {
                    Step::Exec(time, _, record) => (time / MS, true, record.map(|record| record.id.time)),
                    Step::Alone(record) => (record.id.time, false, Some(record.id.time)),
                    Step::Told(_) => unreachable!("nothing but execs"),
                });
            }
        };
        for (at, pid) in pids.iter().enumerate() {
            // Apart by more than the slack, so that there is but one right answer.
            let (time, lost) = (100 * (at as u64 + 1), lost >> at & 1 == 1);
            let (message, record) = (!(lost && of_connector), !lost || of_connector);
            if message {
                merge.told(Message::Exec { time: time * MS, pid: *pid }, time * MS);
            }
            if record {
                merge.audited(exec(*pid, time - BEFORE), time * MS);
            }
            expected.push((if message { time } else { time - BEFORE }, message, record.then_some(time - BEFORE)));
            take(&mut merge, time * MS);
        }
        take(&mut merge, u64::MAX);
        prop_assert!(merge.is_empty() && merge.bytes == 0);
        found.sort_unstable();
        prop_assert_eq!(found, expected);
    }
}
