//! Which runs train together, and how the cores are shared out.

use super::device::Device;
use super::survey::{Decision, Entry};

/// A pack splits over idle cores only while each part keeps this many runs: below, what a pack saves is worth more than
/// a second core.
const SMALLEST_SPLIT: usize = 8;

/// Numbers that the networks of a pack may learn together: with moments and gradients a quarter of a gigabyte.
const MOST_PARAMETERS: u64 = 1 << 24;
/// Runs of a pack, however small they are.
const MOST_RUNS: u64 = 256;

/// How many runs of this many parameters may train together.
pub fn limit_for(parameters: u64) -> usize {
    let limit = (MOST_PARAMETERS / parameters.max(1)).clamp(1, MOST_RUNS);
    usize::try_from(limit).expect("no more than MOST_RUNS")
}

/// Runs that train together in one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Places in the list of entries.
    pub runs: Vec<usize>,
    /// The threads that these runs had before, where they go on.
    pub threads: Option<usize>,
    /// Whether the runs are on their own after a pack of theirs died.
    pub alone: bool,
}

/// Groups what has work left into packs: runs of one key at one step, in order, no more than the limits say; and on the
/// processor no fewer packs than `cores` as long as they stay worth it.
pub fn plan_packs(entries: &[Entry], decisions: &[Decision], no_pack: bool, cores: usize) -> Vec<Pack> {
    let mut groups: Vec<(_, Vec<usize>)> = Vec::new();
    let mut place_of = std::collections::BTreeMap::new();
    for (index, (entry, decision)) in entries.iter().zip(decisions).enumerate() {
        let (step, threads) = match decision {
            Decision::Start => (0, None),
            Decision::Resume { step, threads } => (*step, *threads),
            Decision::Mend { step, .. } => (*step, None),
            Decision::Done
            | Decision::Leave(_)
            | Decision::Held(_)
            | Decision::NotRequested
            | Decision::NotReady
            | Decision::Tried => continue,
        };
        let key = (entry.pack_key.as_str(), &entry.data_roots, step, threads);
        let place = *place_of.entry(key).or_insert_with(|| {
            groups.push((threads, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(index);
    }
    let limit = |runs: &[usize]| {
        let allowed = runs.iter().map(|&run| entries[run].pack_limit).min().unwrap_or(1);
        if no_pack { 1 } else { allowed.max(1) }
    };
    let mut parts: Vec<usize> = groups.iter().map(|(_, runs)| runs.len().div_ceil(limit(runs))).collect();
    while parts.iter().sum::<usize>() < cores {
        // The group whose parts are the largest gives way first.
        let largest = (0..groups.len()).max_by_key(|&g| (groups[g].1.len() / parts[g], std::cmp::Reverse(g)));
        match largest {
            Some(group) if groups[group].1.len() / (parts[group] + 1) >= SMALLEST_SPLIT => parts[group] += 1,
            _ => break,
        }
    }
    let mut packs = Vec::new();
    for ((threads, runs), parts) in groups.into_iter().zip(parts) {
        let (size, larger) = (runs.len() / parts, runs.len() % parts);
        let mut rest = runs.as_slice();
        for part in 0..parts {
            let (now, later) = rest.split_at(size + usize::from(part < larger));
            packs.push(Pack { runs: now.to_vec(), threads, alone: now.len() == 1 });
            rest = later;
        }
    }
    packs
}

/// How the machine is shared out among workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Cores that all workers together may use.
    pub cores: usize,
    /// Workers at once.
    pub jobs: usize,
    /// Workers at once on one device.
    pub jobs_per_device: usize,
    /// Threads of a worker that has no number of its own.
    pub threads: usize,
    /// What the command line asked for and did not get.
    pub note: Option<String>,
}

impl Shares {
    /// Shares `cores` out among `packs` workers on `devices`: as many as there are cores on the processor, one a CUDA
    /// device, unless said otherwise; never more threads than cores.
    pub fn new(cores: usize, packs: usize, devices: &[Device], jobs: Option<usize>, threads: Option<usize>) -> Self {
        let cores = cores.max(1);
        let on_cpu = devices.iter().all(|&device| device == Device::Cpu);
        let wanted_threads = threads.unwrap_or(1).max(1);
        let most = (cores / wanted_threads.min(cores)).max(1);
        let default = if on_cpu { most } else { devices.len() };
        let wanted_jobs = jobs.unwrap_or(default).max(1);
        let allowed_jobs = wanted_jobs.min(most);
        let jobs_now = allowed_jobs.min(packs.max(1));
        let threads_now = threads.unwrap_or(cores / jobs_now).clamp(1, cores / jobs_now);
        let note =
            (jobs.is_some_and(|jobs| jobs > allowed_jobs) || threads.is_some_and(|t| t > threads_now)).then(|| {
                format!(
                    "{cores} cores are shared by at most {allowed_jobs} workers of {threads_now} threads: \
                 threads times workers never exceed the cores"
                )
            });
        let jobs_per_device = if on_cpu { jobs_now } else { allowed_jobs.div_ceil(devices.len()) };
        Self { cores, jobs: jobs_now, jobs_per_device, threads: threads_now, note }
    }
}

#[cfg(test)]
mod tests {
    use super::super::survey::tests::entry;
    use super::*;
    use crate::record::State;

    fn sizes(keys: &[(&str, usize)], limit: usize, no_pack: bool, cores: usize) -> Vec<usize> {
        let mut entries = Vec::new();
        for (key, n) in keys {
            for run in 0..*n {
                let mut entry = entry(&format!("{key}-{run}"), key);
                entry.pack_limit = limit;
                entries.push(entry);
            }
        }
        let decisions = vec![Decision::Start; entries.len()];
        plan_packs(&entries, &decisions, no_pack, cores).iter().map(|pack| pack.runs.len()).collect()
    }

    #[test]
    fn runs_of_one_key_share_packs_up_to_the_limit() {
        assert_eq!(sizes(&[("a", 3), ("b", 5)], 64, false, 1), [3, 5]);
        assert_eq!(sizes(&[("a", 100)], 64, false, 1), [50, 50]);
        assert_eq!(sizes(&[("a", 3)], 64, true, 1), [1, 1, 1]);
        assert_eq!(sizes(&[("a", 3)], 0, false, 1), [1, 1, 1]);
    }

    #[test]
    fn large_networks_share_a_pack_with_fewer() {
        assert_eq!([0, 400, 1 << 20, 1 << 30].map(limit_for), [256, 256, 16, 1]);
    }

    #[test]
    fn idle_cores_get_a_part_while_it_stays_worth_it() {
        assert_eq!(sizes(&[("a", 16)], 64, false, 2), [8, 8]);
        assert_eq!(sizes(&[("a", 15)], 64, false, 2), [15]);
        assert_eq!(sizes(&[("a", 64), ("b", 20)], 64, false, 4), [22, 21, 21, 20]);
    }

    #[test]
    fn only_runs_at_the_same_step_and_with_work_left_share_a_pack() {
        let entries: Vec<Entry> = (0..6).map(|run| entry(&format!("r{run}"), "k")).collect();
        let at = |step, threads| Decision::Resume { step, threads };
        let decisions = [
            at(10, Some(1)),
            Decision::Start,
            at(10, Some(1)),
            Decision::Done,
            Decision::Leave(State::Failed),
            at(0, None),
        ];
        let packs = plan_packs(&entries, &decisions, false, 1);
        let runs: Vec<_> = packs.iter().map(|pack| pack.runs.clone()).collect();
        assert_eq!(runs, [vec![0, 2], vec![1, 5]]);
        assert_eq!((packs[0].threads, packs[1].threads), (Some(1), None));
    }

    #[test]
    fn threads_times_jobs_never_exceed_the_cores() {
        let gpus = [Device::Cuda(0), Device::Cuda(1)];
        for devices in [&[Device::Cpu][..], &gpus] {
            for cores in 1..20 {
                for packs in [1, 2, 5, 100] {
                    for jobs in [None, Some(1), Some(3), Some(50)] {
                        for threads in [None, Some(1), Some(2), Some(30)] {
                            let shares = Shares::new(cores, packs, devices, jobs, threads);
                            assert!(shares.jobs * shares.threads <= cores && shares.jobs > 0, "{shares:?}");
                            assert!(shares.threads > 0 && shares.jobs_per_device > 0, "{shares:?}");
                        }
                    }
                }
            }
        }
        let share = |packs, jobs, threads| {
            let shares = Shares::new(8, packs, &[Device::Cpu], jobs, threads);
            (shares.jobs, shares.threads, shares.note.is_some())
        };
        assert_eq!(share(100, None, None), (8, 1, false));
        assert_eq!(share(2, None, None), (2, 4, false));
        assert_eq!(share(100, Some(3), None), (3, 2, false));
        assert_eq!(share(100, None, Some(3)), (2, 3, false));
        assert_eq!(share(100, Some(20), None), (8, 1, true));
        assert_eq!(Shares::new(8, 9, &gpus, None, None).jobs, 2);
    }
}
