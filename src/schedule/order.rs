//! Runs that begin with others: which are needed, and which can be trained now.

use super::survey::{Decision, Entry, dir_of};
use crate::record::State;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Leaves out what was not requested and what no run begins with any more: a run after its first step has all that it
/// needs.
pub fn leave_out(entries: &[Entry], decisions: &mut [Decision], requested: &[bool]) {
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    loop {
        let before = needed.len();
        for ((entry, decision), requested) in entries.iter().zip(&*decisions).zip(requested) {
            if decision.is_at_the_beginning() && (*requested || needed.contains(entry.state.id.as_str())) {
                needed.extend(entry.after.iter().map(String::as_str));
            }
        }
        if needed.len() == before {
            break;
        }
    }
    for ((entry, decision), requested) in entries.iter().zip(decisions).zip(requested) {
        if !requested && !needed.contains(entry.state.id.as_str()) {
            *decision = Decision::NotRequested;
        }
    }
}

/// The decisions for now: a run that begins with others is not ready until all of them are done.
pub fn ready(entries: &[Entry], left: &[Decision], out: &Path) -> Vec<Decision> {
    let mut done: BTreeMap<&str, bool> = BTreeMap::new();
    let ids: BTreeSet<&str> = entries.iter().flat_map(|entry| &entry.after).map(String::as_str).collect();
    for entry in entries.iter().filter(|entry| ids.contains(entry.state.id.as_str())) {
        let is_done = dir_of(entry, out).stored_state().is_ok_and(|state| state.state == State::Done);
        done.insert(&entry.state.id, is_done);
    }
    let has_all = |entry: &Entry| entry.after.iter().all(|id| done.get(id.as_str()) == Some(&true));
    let now = |(entry, decision): (&Entry, &Decision)| {
        if decision.is_at_the_beginning() && !has_all(entry) { Decision::NotReady } else { decision.clone() }
    };
    entries.iter().zip(left).map(now).collect()
}

#[cfg(test)]
mod tests {
    use super::super::survey::tests::{entry, written};
    use super::*;

    /// `first`, `second` that begins with it, and `third` that begins with `second`.
    fn chain() -> [Entry; 3] {
        let mut entries = [entry("first", "k"), entry("second", "k"), entry("third", "k")];
        entries[1].after = vec![entries[0].state.id.clone()];
        entries[2].after = vec![entries[1].state.id.clone()];
        entries
    }

    #[test]
    fn a_run_waits_for_the_runs_that_it_begins_with() {
        let out = tempfile::tempdir().unwrap();
        let (entries, start) = (chain(), Decision::Start);
        let left = vec![start.clone(); 3];
        let not_ready = Decision::NotReady;
        assert_eq!(ready(&entries, &left, out.path()), [start.clone(), not_ready.clone(), not_ready.clone()]);
        written(&entries[0], out.path(), State::Done);
        let left = [Decision::Tried, start.clone(), start.clone()];
        assert_eq!(ready(&entries, &left, out.path()), [Decision::Tried, start.clone(), not_ready]);
        // A run after its first step needs nothing.
        let resume = Decision::Resume { step: 5, threads: None };
        let left = [Decision::Tried, start.clone(), resume.clone()];
        assert_eq!(ready(&entries, &left, out.path()), [Decision::Tried, start, resume]);
    }

    #[test]
    fn what_was_not_requested_is_left_out_unless_a_run_still_begins_with_it() {
        let entries = chain();
        let left_out = |decisions: [Decision; 3]| {
            let mut decisions = decisions;
            leave_out(&entries, &mut decisions, &[false, false, true]);
            decisions
        };
        let (start, none) = (Decision::Start, Decision::NotRequested);
        let begun = Decision::Resume { step: 5, threads: None };
        assert_eq!(
            left_out([start.clone(), start.clone(), start.clone()]),
            [start.clone(), start.clone(), start.clone()]
        );
        let resumed = left_out([start.clone(), begun.clone(), start.clone()]);
        assert_eq!(resumed, [none.clone(), begun.clone(), start.clone()]);
        assert_eq!(left_out([start.clone(), start, begun.clone()]), [none.clone(), none, begun]);
    }
}
