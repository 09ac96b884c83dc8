//! Mistakes at their places: what a person reads when a file is wrong. It knows texts and byte ranges, nothing of keys.

use crate::base::nearest;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use std::fmt;
use std::sync::Arc;

/// Which text a place lies in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// A byte range of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The text.
    pub source: SourceId,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Place {
    /// A range of a text.
    pub fn new(source: SourceId, range: std::ops::Range<usize>) -> Self {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { source, start: narrow(range.start), end: narrow(range.end) }
    }

    /// Moves it to the right.
    pub fn shift(&mut self, by: usize) {
        *self = Self::new(self.source, self.start as usize + by..self.end as usize + by);
    }
}

/// The texts that an experiment was read from: files and what `--set` said.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<(String, Arc<str>)>);

impl Sources {
    /// Takes a text in, under the name that people know it by.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        self.0.push((name.into(), text.into()));
        SourceId(u32::try_from(self.0.len() - 1).expect("a handful of texts"))
    }

    /// The text of a source.
    pub fn text(&self, source: SourceId) -> &Arc<str> {
        &self.0[source.0 as usize].1
    }

    /// The name of a source.
    pub fn name(&self, source: SourceId) -> &str {
        &self.0[source.0 as usize].0
    }

    /// Mistakes as diagnostics, in their order.
    pub fn show_all(&self, mistakes: impl IntoIterator<Item = Mistake>) -> Diagnostics {
        Diagnostics(mistakes.into_iter().map(|mistake| self.show(mistake)).collect())
    }

    /// A mistake as a diagnostic, with the line it points at.
    pub fn show(&self, mistake: Mistake) -> Diagnostic {
        let Mistake { place, message, help } = mistake;
        let place = place.filter(|p| (p.source.0 as usize) < self.0.len()).map(|p| {
            let (name, text) = &self.0[p.source.0 as usize];
            let start = (p.start as usize).min(text.len());
            let end = (p.end as usize).clamp(start, text.len());
            // A table's place may run over many lines; the first says enough.
            let end = text.get(start..end).and_then(|t| t.find('\n')).map_or(end, |n| start + n);
            Shown { name: name.clone(), text: text.clone(), start, end }
        });
        Diagnostic { message, help, place }
    }
}

/// Something wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mistake {
    /// Where; `None` where there is no text to show.
    pub place: Option<Place>,
    /// What, as a fragment without a period.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Mistake {
    /// A mistake at a place.
    pub fn at(place: Place, message: impl Into<String>) -> Self {
        Self { place: Some(place), message: message.into(), help: None }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A mistake with its text at hand, ready to be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Where.
    pub place: Option<Shown>,
}

/// A byte range with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The name of the text.
    pub name: String,
    /// The text.
    pub text: Arc<str>,
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Shown {
    /// Line and column, from 1; columns count characters.
    pub fn line_column(&self) -> (usize, usize) {
        let before = &self.text[..self.start];
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

impl Diagnostic {
    /// A diagnostic without a place.
    pub fn plain(message: impl Into<String>, help: Option<String>) -> Self {
        Self { message: message.into(), help, place: None }
    }

    /// The drawing: message, file, line, column, the line with a mark, and what to do.
    pub fn render(&self, style: Style) -> String {
        let theme = match style {
            Style::Fancy => GraphicalTheme::unicode(),
            Style::Unicode => GraphicalTheme::unicode_nocolor(),
            Style::Plain => GraphicalTheme::none(),
        };
        let handler =
            GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_links(false).with_wrap_lines(false);
        let mut text = String::new();
        match handler.render_report(&mut text, &Drawn::from(self)) {
            Ok(()) => text,
            Err(_) => format!("  x {self}\n"),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            let (line, column) = place.line_column();
            write!(f, "{}:{line}:{column}: ", place.name)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}

/// What miette draws: the place becomes a label in a named text.
#[derive(Debug)]
struct Drawn<'a> {
    of: &'a Diagnostic,
    message: String,
    help: Option<String>,
    source: Option<NamedSource<String>>,
}

impl<'a> From<&'a Diagnostic> for Drawn<'a> {
    fn from(of: &'a Diagnostic) -> Self {
        // What stands before the text takes up to 8 columns.
        let fold = |text: &String| folded(text, WIDTH - 8);
        let (message, help) = (fold(&of.message), of.help.as_ref().map(fold));
        Self { of, message, help, source: of.place.as_ref().map(|p| NamedSource::new(&p.name, p.text.to_string())) }
    }
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Drawn<'_> {}

impl miette::Diagnostic for Drawn<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.of.place.as_ref()?;
        let span = (place.start, place.end - place.start);
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, span))))
    }
}

const WIDTH: usize = 100;

/// Text in lines of at most `width` characters, broken at spaces alone: names have hyphens.
fn folded(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// How diagnostics are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// With colors and box characters.
    Fancy,
    /// With box characters.
    Unicode,
    /// ASCII.
    Plain,
}

/// Everything that is wrong with an experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// One diagnostic.
    pub fn one(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }

    /// All of them drawn, one after the other, with their count where there are several.
    pub fn render(&self, style: Style) -> String {
        let mut text: String = self.0.iter().map(|d| d.render(style)).collect();
        if self.0.len() > 1 {
            text.push_str(&format!("{} mistakes\n", self.0.len()));
        }
        text
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Names in backticks with commas between them.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

/// The help for a name that is not known: the nearest one where there is one, and what there is.
pub fn known_names<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let (names, near) = nearest(word, known);
    let first = *names.first()?;
    let all = listed(names.iter().copied());
    Some(match (near, names.len()) {
        (true, 1) => format!("did you mean `{first}`?"),
        (true, _) => format!("did you mean `{first}`? known here: {all}"),
        (false, _) => format!("known here: {all}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_never_repeats_the_word_that_it_corrects() {
        assert_eq!(known_names("nearest", ["nearest"]), None);
        assert_eq!(known_names("nearest", ["nearest", "neatest"]).as_deref(), Some("known here: `neatest`"));
        assert_eq!(known_names("nearst", ["nearest"]).as_deref(), Some("did you mean `nearest`?"));
    }

    #[test]
    fn a_diagnostic_names_file_line_and_column_and_marks_the_line() {
        let mut sources = Sources::default();
        let id = sources.add("a.toml", "x = 1\nsteps = \"many\"\n");
        let text = sources
            .show(Mistake::at(Place::new(id, 14..20), "expected a number").with_help("write one"))
            .render(Style::Plain);
        assert!(text.contains("a.toml:2:9"), "{text}");
        assert!(text.contains("steps = \"many\""), "{text}");
        assert!(text.contains("^^^^^^"), "{text}");
        assert!(text.contains("help: write one"), "{text}");
    }
}
