//! A rung of the ladder: where events come from.

use std::io;
use std::time::Duration;

use super::event::Event;
use super::rows::Rows;

/// Counters by name.
pub type Totals = Vec<(&'static str, u64)>;

/// Events of processes.
pub trait Feed: Send {
    /// The next event; None when nothing waits.
    fn receive(&mut self, rows: &mut Rows) -> Option<Event>;

    /// Whether an event is completed with what was said before it, so that each is taken in before the next is asked for.
    fn in_turn(&self) -> bool;

    /// How long ago it may be that the next event happened, when nothing waits.
    fn behind(&self) -> Duration {
        Duration::ZERO
    }

    /// Waits for an event.
    fn wait(&self, timeout: Duration) -> io::Result<()>;

    /// To be called about ten times a second: an error if it does not hold any longer.
    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Lets go of the kernel; what it had said can still be received.
    fn stop(&mut self);

    /// `lost` and `malformed`, and what else there is to count.
    fn totals(&self) -> Totals;

    /// What people should know about it, each a phrase.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}
