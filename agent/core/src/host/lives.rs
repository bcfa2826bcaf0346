//! Which process had a pid at a time: pids are used again. Times are nanoseconds of CLOCK_BOOTTIME.

use rustc_hash::FxHashMap;

/// A process closes its files, which may be a change of them, after the kernel has told of its end (do_exit of
/// kernel/exit.c); on slow file systems long after.
const SLACK_NS: u64 = 1_000_000_000;
/// It is not known to have ended.
const OPEN: u64 = u64::MAX;

struct Life {
    entity: u64,
    start: u64,
    end: u64,
}

/// The lives of processes by pid, as many as are not taken out again by [`Lives::forget`].
#[derive(Default)]
pub struct Lives(FxHashMap<u32, Vec<Life>>);

impl Lives {
    /// A process began, and so whoever had the pid before has ended.
    pub fn begin(&mut self, pid: u32, entity: u64, start: u64) {
        let lives = self.0.entry(pid).or_default();
        if lives.iter().any(|life| life.entity == entity) {
            return;
        }
        for life in lives.iter_mut().filter(|life| life.start <= start) {
            life.end = life.end.min(start);
        }
        lives.push(Life { entity, start, end: OPEN });
    }

    pub fn end(&mut self, pid: u32, entity: u64, time: u64) {
        for life in self.0.get_mut(&pid).into_iter().flatten().filter(|life| life.entity == entity) {
            life.end = life.end.min(time);
        }
    }

    pub fn forget(&mut self, pid: u32, entity: u64) {
        if let Some(lives) = self.0.get_mut(&pid) {
            lives.retain(|life| life.entity != entity);
            if lives.is_empty() {
                self.0.remove(&pid);
            }
        }
    }

    /// The process that did something between `since` and `until`. None if nobody is known to have had the pid then, or
    /// if there were two: wrong is worse than none.
    pub fn find(&self, pid: u32, since: u64, until: u64) -> Option<u64> {
        let then = |life: &&Life| life.start <= until && life.end.saturating_add(SLACK_NS) >= since;
        let mut found = self.0.get(&pid)?.iter().filter(then);
        let life = found.next()?;
        found.next().is_none().then_some(life.entity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_pid_is_whose_it_was_at_the_time() {
        let mut lives = Lives::default();
        lives.begin(7, 1, 10 * S);
        lives.end(7, 1, 11 * S);
        lives.begin(7, 2, 20 * S);
        assert_eq!(lives.find(7, 10 * S, 10 * S), Some(1));
        assert_eq!(lives.find(7, 9 * S, 10 * S), Some(1), "the moment is not known exactly");
        assert_eq!(lives.find(7, 5 * S, 9 * S), None, "before it began");
        assert_eq!(lives.find(7, 12 * S, 13 * S), Some(1), "files are closed after the end");
        assert_eq!(lives.find(7, 13 * S, 14 * S), None);
        assert_eq!(lives.find(7, 30 * S, 30 * S), Some(2));
        assert_eq!(lives.find(8, 30 * S, 30 * S), None);
    }

    #[test]
    fn of_two_that_could_be_meant_none_is_named() {
        let mut lives = Lives::default();
        lives.begin(7, 1, 10 * S);
        lives.begin(7, 2, 20 * S);
        assert_eq!(lives.find(7, 19 * S, 20 * S), None);
        assert_eq!(lives.find(7, 15 * S, 16 * S), Some(1), "an end that was not told of");
        assert_eq!(lives.find(7, 22 * S, 22 * S), Some(2));
    }

    #[test]
    fn told_twice_it_is_one_life_and_forgotten_it_is_none() {
        let mut lives = Lives::default();
        lives.begin(7, 1, 10 * S);
        lives.begin(7, 1, 10 * S);
        assert_eq!(lives.find(7, 10 * S, 11 * S), Some(1));
        lives.forget(7, 1);
        assert_eq!(lives.find(7, 10 * S, 11 * S), None);
        assert!(lives.0.is_empty());
    }
}
