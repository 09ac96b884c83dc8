//! gantlet runs experiments with GANs and other generative models. An experiment is a TOML file: it describes the data,
//! the networks, the losses and the optimizers, and it states what the results should show. gantlet trains every
//! combination of settings and seeds, measures the samples, and decides whether each claim holds.
//!
//! Most users need only the `gantlet` command, which the README describes. This library is what the command and its
//! worker process are made of. Its interface may change with every release.
//!
//! Reading an experiment needs neither libtorch nor data:
//!
//! ```no_run
//! use gantlet::experiment::Plan;
//! use std::path::Path;
//!
//! let text = r#"
//! name = "rings"
//! seeds = 3
//! data = "ring"
//!
//! [algorithm.gan]
//! latent = { normal = { dim = 2 } }
//!
//! [architecture]
//! generator = { mlp = { hidden = [64, 64] } }
//! discriminator = { mlp = { hidden = [64, 64] } }
//!
//! [optimizer]
//! generator = { adam = { lr = 1e-3 } }
//! discriminator = { adam = { lr = 1e-3 } }
//!
//! [schedule]
//! steps = 2000
//! batch = 256
//!
//! [grid]
//! "loss.adversarial" = ["non-saturating", "hinge"]
//! "#;
//! let plan = Plan::of_text(Path::new("rings.toml"), text, None).expect("a valid experiment");
//! // Two losses, each with three seeds. Cells with the same key train together as one batched model.
//! assert_eq!(plan.cells.len(), 6);
//! assert_eq!(plan.cells[0].pack_key(), plan.cells[1].pack_key());
//! ```
//!
//! # Modules
//!
//! The modules are listed in the order in which they may import each other: each uses only those above it
//! (`tests/tidy.rs` checks this). Modules that need libtorch are marked *(torch)*. The `gantlet` command calls none of
//! them; `gantlet-worker` does.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, reason = "tests may read and write as they like"))]

pub mod base; // units, host arrays, atomic files
pub mod rng; // counter-based random streams
pub mod loss; // adversarial losses and penalties: specs, and formulas (torch)
pub mod nn; // layers: specs, shape inference, and forward passes with a run axis (torch)
pub mod data; // distributions and data sets, on the host
pub mod player; // parameters that move together: store, optimizer, schedule, EMA (torch)
pub mod objective; // one file an algorithm family: spec and mathematics (torch)
pub mod eval; // metrics over host arrays, each with its protocol
pub mod picture; // sample grids, densities, scatters, animations
pub mod record; // the files of a run directory
pub mod train; // the one loop (torch)
pub mod experiment; // what a TOML says: parsing, grids, checks, diagnostics
pub mod assemble; // the one match over algorithms: cells to networks and objectives (torch)
pub mod ui; // bars, tables, wording for people
pub mod schedule; // runs to packs to worker processes
pub mod report; // compare, diff, verify, the page
pub mod cli; // the commands
