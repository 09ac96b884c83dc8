//! Tests that need what not every machine has.
//!
//! Without it such a test returns early. `cargo test` counts that as a pass, so CI lists in `GANTLET_REQUIRE` what it has
//! installed, and there a missing piece is a failure.

/// What some tests need beyond a compiler and libtorch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Need {
    /// A browser with a headless mode.
    Chromium,
    /// Python with PyTorch and TensorBoard.
    Python,
    /// The public data sets in `GANTLET_DATA`.
    Data,
    /// Permission to mount a filesystem.
    Mount,
    /// A C compiler.
    Cc,
}

impl Need {
    pub const ALL: [Self; 5] = [Self::Chromium, Self::Python, Self::Data, Self::Mount, Self::Cc];

    /// Its name in `GANTLET_REQUIRE`, and how to get it.
    pub fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::Chromium => ("chromium", "no chromium on this machine (Debian: apt install chromium)"),
            Self::Python => (
                "python",
                "no torch and tensorboard in this Python (tests/requirements.txt lists them; GANTLET_TEST_PYTHON names another Python)",
            ),
            Self::Data => ("data", "no data sets (GANTLET_DATA names their folder)"),
            Self::Mount => ("mount", "no permission to mount a filesystem (run as root)"),
            Self::Cc => ("cc", "no C compiler"),
        }
    }

    /// Whether a list such as `chromium,python` or `all` has this in it.
    pub fn is_in(self, list: &str) -> bool {
        let names = || list.split(',').map(str::trim).filter(|name| !name.is_empty());
        let known = |name: &str| name == "all" || Self::ALL.iter().any(|need| need.describe().0 == name);
        assert!(names().all(known), "GANTLET_REQUIRE: `{list}` has an unknown name in it");
        names().any(|name| name == "all" || name == self.describe().0)
    }
}

/// Returns what `found` holds. If it is empty, reports that the calling test is skipped, or fails if `GANTLET_REQUIRE`
/// lists the need.
#[expect(clippy::print_stderr, reason = "a test has no other output")]
pub fn require<T>(need: Need, found: Option<T>) -> Option<T> {
    if found.is_none() {
        let list = std::env::var("GANTLET_REQUIRE").unwrap_or_default();
        let (name, remedy) = need.describe();
        assert!(!need.is_in(&list), "{remedy}; GANTLET_REQUIRE lists `{name}`");
        eprintln!("skipped: {remedy}");
    }
    found
}
