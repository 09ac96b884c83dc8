//! Signals that ask a program to stop: which of them are one request, and which is the second.

use std::time::{Duration, Instant};

/// A person needs longer than this to see that a program is stopping and to interrupt it again. What arrives sooner belongs
/// to one event: a terminal, `timeout` and a cluster each may signal a process, its group and its children together.
const ONE_EVENT: Duration = Duration::from_secs(1);

/// The requests to stop that a process has received.
#[derive(Debug, Default)]
pub struct StopRequests {
    first: Option<Instant>,
}

impl StopRequests {
    /// Takes down a request, and returns whether it asks a process that is already stopping to leave at once.
    pub fn is_second(&mut self, at: Instant) -> bool {
        let first = *self.first.get_or_insert(at);
        at.saturating_duration_since(first) >= ONE_EVENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_of_one_event_are_one_request() {
        let (mut requests, now) = (StopRequests::default(), Instant::now());
        let mut second = |millis| requests.is_second(now + Duration::from_millis(millis));
        assert_eq!([0, 0, 50, 200, 999].map(&mut second), [false; 5]);
        assert!(second(1000));
    }
}
