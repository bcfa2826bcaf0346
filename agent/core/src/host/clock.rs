//! The kernel's clocks to UTC.

use std::io;

/// Steps of the wall clock smaller than this do not move it, so that the start of a process reads the same in each of
/// its rows although clocks are never read at one instant.
const HYSTERESIS_NS: i64 = 1_000_000;

/// Converts CLOCK_BOOTTIME and CLOCK_MONOTONIC to microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// CLOCK_REALTIME minus CLOCK_BOOTTIME, nanoseconds.
    boot_offset: i64,
    /// CLOCK_BOOTTIME minus CLOCK_MONOTONIC, nanoseconds: the time asleep.
    asleep: i64,
}

impl Clock {
    /// Reads the clocks.
    pub fn new() -> io::Result<Self> {
        let mut clock = Self { boot_offset: i64::MIN / 2, asleep: i64::MIN / 2 };
        clock.refresh()?;
        Ok(clock)
    }

    /// Follows steps of the wall clock, and sleep.
    pub fn refresh(&mut self) -> io::Result<()> {
        let boot = now(libc::CLOCK_BOOTTIME)?;
        let asleep = boot - now(libc::CLOCK_MONOTONIC)?;
        self.observe(boot_offset()?, asleep);
        Ok(())
    }

    fn observe(&mut self, boot_offset: i64, asleep: i64) {
        if (boot_offset - self.boot_offset).abs() > HYSTERESIS_NS {
            self.boot_offset = boot_offset;
        }
        if (asleep - self.asleep).abs() > HYSTERESIS_NS {
            self.asleep = asleep;
        }
    }

    /// CLOCK_BOOTTIME now, nanoseconds.
    pub fn now(&self) -> io::Result<u64> {
        now(libc::CLOCK_BOOTTIME).map(|time| time.max(0) as u64)
    }

    /// CLOCK_BOOTTIME nanoseconds as microseconds since 1970-01-01 UTC.
    pub fn utc(&self, boottime: u64) -> i64 {
        (boottime as i64).saturating_add(self.boot_offset) / 1000
    }

    /// Milliseconds since 1970-01-01 UTC as CLOCK_BOOTTIME nanoseconds.
    pub fn since_boot(&self, milliseconds: u64) -> u64 {
        (milliseconds as i64).saturating_mul(1_000_000).saturating_sub(self.boot_offset).max(0) as u64
    }

    /// CLOCK_MONOTONIC nanoseconds as CLOCK_BOOTTIME nanoseconds.
    pub fn boottime(&self, monotonic: u64) -> u64 {
        (monotonic as i64).saturating_add(self.asleep).max(0) as u64
    }
}

/// CLOCK_REALTIME minus CLOCK_BOOTTIME, of some tries the one that was disturbed least: sockets are told apart by it that
/// use a port within microseconds of each other.
fn boot_offset() -> io::Result<i64> {
    let mut best = (i64::MAX, 0);
    for _ in 0..5 {
        let before = now(libc::CLOCK_BOOTTIME)?;
        let wall = now(libc::CLOCK_REALTIME)?;
        let took = now(libc::CLOCK_BOOTTIME)? - before;
        best = best.min((took, wall - before - took / 2));
    }
    Ok(best.1)
}

fn now(clock: libc::clockid_t) -> io::Result<i64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(time.tv_sec * 1_000_000_000 + time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_steps_do_not_move_it_and_large_ones_do() {
        let mut clock = Clock { boot_offset: 1_000_000_000, asleep: 0 };
        assert_eq!(clock.utc(5_000), 1_000_005);
        clock.observe(1_000_000_900, 10);
        assert_eq!(clock.utc(5_000), 1_000_005);
        clock.observe(9_000_000_000, 2_000_000);
        assert_eq!(clock.utc(5_000), 9_000_005);
        assert_eq!(clock.boottime(7), 2_000_007);
        assert_eq!((clock.since_boot(9_001), clock.since_boot(0)), (1_000_000, 0));
    }

    #[test]
    fn boottime_now_is_wall_time_now() {
        let clock = Clock::new().expect("the clocks");
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let boot = now(libc::CLOCK_BOOTTIME).expect("a clock") as u64;
        assert!((clock.utc(boot) - wall.as_micros() as i64).abs() < 10_000_000);
    }
}
