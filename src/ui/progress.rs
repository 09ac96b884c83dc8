//! Progress while runs go on: bars on a terminal, plain lines in a pipe.

use super::words;
use crate::record::State;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Who is told how runs go on.
pub trait Watch {
    /// Runs are about to be trained: how many there are in all, and how many steps they have to go together.
    fn begin(&mut self, runs: usize, steps: u64);
    /// A worker took runs; packs are numbered as they start.
    fn pack_started(&mut self, pack: usize, runs: &[String], device: &str, threads: usize);
    /// A run of a pack went on.
    fn progress(&mut self, news: &Progress<'_>);
    /// A run ended, or was put back.
    fn run_ended(&mut self, run: &str, state: State, reason: Option<&str>);
    /// A worker is gone.
    fn pack_ended(&mut self, pack: usize);
    /// Something else to say.
    fn say(&mut self, text: &str);
    /// Some time went by.
    fn tick(&mut self);
    /// All is over.
    fn end(&mut self);
}

/// How a run went on.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The number of its pack.
    pub pack: usize,
    /// Its place in the pack.
    pub run: usize,
    /// How many runs went on with it.
    pub together: usize,
    /// Steps done.
    pub step: u64,
    /// Steps to do.
    pub steps: u64,
    /// Its steps a second.
    pub rate: f64,
    /// Its newest scalars.
    pub scalars: &'a [(String, Option<f64>)],
}

/// What is known of all runs at once: counts, and the time left by the run-steps of the last while.
#[derive(Debug)]
struct Tally {
    runs: usize,
    ended: BTreeMap<State, usize>,
    steps: u64,
    steps_done: u64,
    packs: BTreeMap<usize, PackView>,
    began: Instant,
}

/// What is known of a running pack.
#[derive(Debug)]
struct PackView {
    runs: Vec<String>,
    /// By run: steps done when the pack began to tell, and now.
    seen: Vec<Option<(u64, u64)>>,
    steps: u64,
    rate: f64,
    losses: String,
}

impl Tally {
    fn new() -> Self {
        Self { runs: 0, ended: BTreeMap::new(), steps: 0, steps_done: 0, packs: BTreeMap::new(), began: Instant::now() }
    }

    fn pack_started(&mut self, pack: usize, runs: &[String]) {
        let view =
            PackView { runs: runs.to_vec(), seen: vec![None; runs.len()], steps: 0, rate: 0.0, losses: String::new() };
        self.packs.insert(pack, view);
    }

    fn progress(&mut self, news: &Progress<'_>) {
        let Some(view) = self.packs.get_mut(&news.pack) else { return };
        view.steps = news.steps;
        let Some(seen) = view.seen.get_mut(news.run) else { return };
        let (begin, before) = seen.unwrap_or((news.step, news.step));
        *seen = Some((begin, news.step));
        self.steps_done += news.step.saturating_sub(before) * news.together as u64;
        if news.run == 0 || view.losses.is_empty() {
            view.rate = news.rate;
            view.losses = losses(news.scalars);
        }
    }

    fn run_ended(&mut self, state: State) {
        if state.is_final() {
            *self.ended.entry(state).or_default() += 1;
        }
    }

    /// The time left, from the run-steps since the beginning.
    fn left(&self) -> Option<Duration> {
        let spent = self.began.elapsed().as_secs_f64();
        if self.steps_done == 0 || spent < 1.0 {
            return None;
        }
        let left = self.steps.saturating_sub(self.steps_done) as f64 * spent / self.steps_done as f64;
        Duration::try_from_secs_f64(left).ok()
    }

    /// `12 done, 1 failed of 48`.
    fn counts(&self) -> String {
        let mut parts = vec![format!("{} done", self.ended.get(&State::Done).copied().unwrap_or(0))];
        for state in [State::Failed, State::Diverged] {
            if let Some(n) = self.ended.get(&state) {
                parts.push(format!("{n} {state}"));
            }
        }
        format!("{} of {}", parts.join(", "), words::plural(self.runs, "run"))
    }
}

impl PackView {
    fn name(&self) -> String {
        match self.runs.as_slice() {
            [] => String::new(),
            [run] => run.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        }
    }

    /// The step of the run that is furthest behind among those that told.
    fn step(&self) -> u64 {
        self.seen.iter().flatten().map(|&(_, now)| now).min().unwrap_or(0)
    }

    fn rates(&self) -> String {
        let one = format!("{} steps/s", words::rate(self.rate));
        match self.runs.len() {
            0 | 1 => one,
            n => format!("{one}, {} run-steps/s", words::rate(self.rate * n as f64)),
        }
    }
}

/// The losses among a run's scalars, as `d 0.512  g 1.304`; what is not finite shows as a dash.
fn losses(scalars: &[(String, Option<f64>)]) -> String {
    let mut shown = Vec::new();
    for (name, value) in scalars {
        if let Some(player) = name.strip_suffix("/loss") {
            shown.push(format!("{player} {}", value.map_or_else(|| "–".to_owned(), words::number)));
        }
    }
    shown.truncate(4);
    shown.join("  ")
}

/// What is said of a run that ended other than well.
fn ending(run: &str, state: State, reason: Option<&str>) -> Option<String> {
    matches!(state, State::Failed | State::Diverged).then(|| match reason {
        Some(reason) => format!("{run} {state}: {reason}"),
        None => format!("{run} {state}"),
    })
}

/// Bars on a terminal: one for the grid, one for each running pack.
#[derive(Debug)]
pub struct Bars {
    all: MultiProgress,
    grid: ProgressBar,
    packs: BTreeMap<usize, ProgressBar>,
    tally: Tally,
}

impl Bars {
    /// Bars on this surface.
    pub fn new(all: MultiProgress) -> Self {
        Self { all, grid: ProgressBar::hidden(), packs: BTreeMap::new(), tally: Tally::new() }
    }

    fn redraw_grid(&self) {
        let left = self.tally.left().map_or_else(String::new, |left| format!(", {} left", words::span(left)));
        self.grid.set_message(format!("{}{left}", self.tally.counts()));
        self.grid.set_position(self.tally.steps_done);
    }
}

impl Watch for Bars {
    fn begin(&mut self, runs: usize, steps: u64) {
        self.tally = Tally { runs, steps, ..Tally::new() };
        let style = ProgressStyle::with_template("{bar:24.green/dim} {percent:>3} %  {elapsed}  {msg}")
            .expect("the template is well-formed")
            .progress_chars("━━─");
        self.grid = self.all.add(ProgressBar::new(steps.max(1)).with_style(style));
        self.redraw_grid();
    }

    fn pack_started(&mut self, pack: usize, runs: &[String], device: &str, _threads: usize) {
        self.tally.pack_started(pack, runs);
        let style = ProgressStyle::with_template("{bar:24.cyan/dim} {percent:>3} %  {prefix}  {wide_msg}")
            .expect("the template is well-formed")
            .progress_chars("━━─");
        let bar = self.all.insert_before(&self.grid, ProgressBar::new(1).with_style(style));
        bar.set_prefix(self.tally.packs[&pack].name());
        bar.set_message(format!("starting on {device}"));
        self.packs.insert(pack, bar);
    }

    fn progress(&mut self, news: &Progress<'_>) {
        self.tally.progress(news);
        let (Some(view), Some(bar)) = (self.tally.packs.get(&news.pack), self.packs.get(&news.pack)) else { return };
        bar.set_length(view.steps.max(1));
        bar.set_position(view.step());
        let left = view.steps.saturating_sub(view.step()) as f64 / view.rate;
        let left = Duration::try_from_secs_f64(left)
            .map_or_else(|_| String::new(), |left| format!(", {} left", words::span(left)));
        bar.set_message(format!(
            "{}/{}  {}{left}  {}",
            words::count(view.step()),
            words::count(view.steps),
            view.rates(),
            view.losses
        ));
        self.redraw_grid();
    }

    fn run_ended(&mut self, run: &str, state: State, reason: Option<&str>) {
        self.tally.run_ended(state);
        if let Some(text) = ending(run, state, reason) {
            self.say(&text);
        }
        self.redraw_grid();
    }

    fn pack_ended(&mut self, pack: usize) {
        self.tally.packs.remove(&pack);
        if let Some(bar) = self.packs.remove(&pack) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    fn say(&mut self, text: &str) {
        // A surface that cannot be written to is no reason to stop training.
        drop(self.all.println(text));
    }

    fn tick(&mut self) {
        self.redraw_grid();
        self.grid.tick();
    }

    fn end(&mut self) {
        self.grid.finish_and_clear();
    }
}

/// Plain lines for pipes and logs: a line at the start and the end of a pack, and one now and then between.
pub struct Lines<W: std::io::Write> {
    to: W,
    every: Duration,
    last: Instant,
    tally: Tally,
}

impl<W: std::io::Write> Lines<W> {
    /// Lines into `to`, one at least `every` so long while packs run.
    pub fn new(to: W, every: Duration) -> Self {
        Self { to, every, last: Instant::now(), tally: Tally::new() }
    }

    fn line(&mut self, text: &str) {
        // A reader that left is no reason to stop training.
        drop(writeln!(self.to, "{text}").and_then(|()| self.to.flush()));
    }
}

impl<W: std::io::Write> Watch for Lines<W> {
    fn begin(&mut self, runs: usize, steps: u64) {
        self.tally = Tally { runs, steps, ..Tally::new() };
        self.last = Instant::now();
    }

    fn pack_started(&mut self, pack: usize, runs: &[String], device: &str, threads: usize) {
        self.tally.pack_started(pack, runs);
        let name = self.tally.packs[&pack].name();
        self.line(&format!("start  {name} on {device} ({})", words::plural(threads, "thread")));
    }

    fn progress(&mut self, news: &Progress<'_>) {
        self.tally.progress(news);
    }

    fn run_ended(&mut self, run: &str, state: State, reason: Option<&str>) {
        self.tally.run_ended(state);
        if let Some(text) = ending(run, state, reason) {
            self.line(&text);
        }
    }

    fn pack_ended(&mut self, pack: usize) {
        if let Some(view) = self.tally.packs.remove(&pack) {
            let counts = self.tally.counts();
            self.line(&format!("end    {} ({counts})", view.name()));
        }
    }

    fn say(&mut self, text: &str) {
        self.line(text);
    }

    fn tick(&mut self) {
        if self.last.elapsed() < self.every {
            return;
        }
        self.last = Instant::now();
        let mut lines = Vec::new();
        for view in self.tally.packs.values().filter(|view| view.steps > 0) {
            let (step, steps) = (words::count(view.step()), words::count(view.steps));
            lines.push(format!("step   {step}/{steps} of {}  {}  {}", view.name(), view.rates(), view.losses));
        }
        let left = self.tally.left().map_or_else(String::new, |left| format!(", {} left", words::span(left)));
        lines.push(format!("grid   {}{left}", self.tally.counts()));
        for line in lines {
            self.line(line.trim_end());
        }
    }

    fn end(&mut self) {}
}

/// A bar for samples that take long, on standard error where that is a terminal; none before the first word of them.
#[derive(Debug, Default)]
pub struct Drawing {
    bar: Option<ProgressBar>,
}

impl Drawing {
    /// So much of so much is done.
    pub fn went_on(&mut self, done: u64, all: u64) {
        let bar = self.bar.get_or_insert_with(|| {
            let style =
                ProgressStyle::with_template("{bar:24.green/dim} {percent:>3} %  {elapsed}, {eta} left  samples")
                    .expect("the template is well-formed")
                    .progress_chars("━━─");
            ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr()).with_style(style)
        });
        bar.set_position(done);
    }

    /// Takes the bar away.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::TermLike;
    use std::io;
    use std::sync::{Arc, Mutex};

    fn scalars() -> Vec<(String, Option<f64>)> {
        vec![("d/loss".to_owned(), Some(0.512)), ("d/real".to_owned(), Some(1.0)), ("g/loss".to_owned(), None)]
    }

    fn play(watch: &mut dyn Watch) {
        watch.begin(3, 300);
        watch.pack_started(0, &["a".to_owned(), "b".to_owned()], "cpu", 1);
        let scalars = scalars();
        for (run, step) in [(0, 0), (1, 0), (0, 50), (1, 40)] {
            watch.progress(&Progress { pack: 0, run, together: 1, step, steps: 100, rate: 1234.0, scalars: &scalars });
        }
        watch.tick();
        watch.run_ended("a", State::Done, None);
        watch.run_ended("b", State::Diverged, Some("d/loss was not finite at step 41"));
    }

    #[test]
    fn lines_tell_start_middle_and_end() {
        let mut text = Vec::new();
        let mut lines = Lines::new(&mut text, Duration::ZERO);
        play(&mut lines);
        lines.pack_ended(0);
        lines.end();
        insta::assert_snapshot!(String::from_utf8(text).unwrap(), @"
        start  a and 1 more on cpu (1 thread)
        step   40/100 of a and 1 more  1234 steps/s, 2468 run-steps/s  d 0.5120  g –
        grid   0 done of 3 runs
        b diverged: d/loss was not finite at step 41
        end    a and 1 more (1 done, 1 diverged of 3 runs)
        ");
    }

    /// A terminal that remembers every line drawn on it.
    #[derive(Clone, Debug, Default)]
    struct Surface(Arc<Mutex<Vec<String>>>);

    impl TermLike for Surface {
        fn width(&self) -> u16 {
            160
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push(text.trim_end().to_owned());
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_pack_counts_for_all_of_its_runs() {
        let mut tally = Tally::new();
        tally.pack_started(0, &["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        for step in [0, 40] {
            tally.progress(&Progress { pack: 0, run: 0, together: 3, step, steps: 100, rate: 1.0, scalars: &[] });
        }
        assert_eq!(tally.steps_done, 120);
    }

    #[test]
    fn bars_show_the_packs_above_the_grid_and_say_what_went_wrong() {
        let surface = Surface::default();
        let target = indicatif::ProgressDrawTarget::term_like_with_hz(Box::new(surface.clone()), 255);
        let mut bars = Bars::new(MultiProgress::with_draw_target(target));
        play(&mut bars);
        std::thread::sleep(Duration::from_millis(20));
        bars.tick();
        let drawn = surface.0.lock().unwrap().join("\n");
        for expected in [
            "40 %  a and 1 more  40/100  1234 steps/s, 2468 run-steps/s, 0.0 s left  d 0.5120  g –",
            "b diverged: d/loss was not finite at step 41",
            "1 done, 1 diverged of 3 runs",
        ] {
            assert!(drawn.contains(expected), "{expected:?} is not in\n{drawn}");
        }
    }
}
