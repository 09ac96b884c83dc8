//! What is wrong with a file and its cells.

use super::diagnostic::{Diagnostics, Mistake};
use super::file::Document;
use std::collections::HashMap;

/// Mistakes, each once, with what they belong to.
#[derive(Default)]
pub(super) struct Wrong {
    all: Vec<Mistake>,
    extents: HashMap<Mistake, Extent>,
}

/// What a mistake belongs to.
#[derive(Clone, Copy)]
enum Extent {
    /// The whole file.
    File,
    /// So many cells of its grid.
    Cells(usize),
}

impl Wrong {
    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds a mistake of the whole file.
    pub(super) fn of_file(&mut self, mistake: Mistake) {
        if self.extents.insert(mistake.clone(), Extent::File).is_none() {
            self.all.push(mistake);
        }
    }

    /// Adds a mistake of one cell.
    pub(super) fn of_cell(&mut self, mistake: Mistake) {
        match self.extents.get_mut(&mistake) {
            Some(Extent::Cells(count)) => *count += 1,
            Some(Extent::File) => {}
            None => {
                self.extents.insert(mistake.clone(), Extent::Cells(1));
                self.all.push(mistake);
            }
        }
    }

    /// All of them in the order of the text; those of some of the grid's `cells` alone say of how many.
    pub(super) fn shown(mut self, cells: usize, document: &Document) -> Diagnostics {
        self.all.sort_by_key(|mistake| mistake.place);
        let extents = self.extents;
        document.sources.show_all(self.all.into_iter().map(|mistake| match extents[&mistake] {
            Extent::Cells(count) if count < cells => {
                let note = format!("in {count} of {cells} cells of the grid");
                let help = mistake.help.as_ref().map_or(note.clone(), |help| format!("{help}\n{note}"));
                mistake.with_help(help)
            }
            Extent::Cells(_) | Extent::File => mistake,
        }))
    }
}
