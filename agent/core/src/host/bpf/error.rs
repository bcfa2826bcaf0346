//! What the loader of eBPF programs answers, as one line for people.

use std::error::Error;
use std::io;

/// One line: what was tried, then each cause once; the verifier's log is cut to its last line.
pub fn failed(what: &str, error: &(dyn Error + 'static)) -> io::Error {
    let (mut text, mut kind) = (what.to_owned(), io::ErrorKind::Other);
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let message = error.to_string();
        let message = one_line(&message);
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        if let Some(system) = error.downcast_ref::<io::Error>() {
            kind = system.kind();
        }
        cause = error.source();
    }
    io::Error::new(kind, text)
}

/// The first line, and the last that is not one of the totals with which the verifier ends its log.
fn one_line(message: &str) -> String {
    let totals = ["processed ", "verification time ", "stack depth "];
    let mut lines = message.lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    match lines.rfind(|line| !line.is_empty() && !totals.iter().any(|total| line.starts_with(total))) {
        Some(last) => format!("{first} ... {last}"),
        None => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_log_becomes_one_line() {
        assert_eq!(one_line("a"), "a");
        assert_eq!(one_line("a\n\nb\n"), "a ... b");
        assert_eq!(one_line("a\nb\nR1 invalid\nprocessed 7 insns\n"), "a ... R1 invalid");
    }
}
