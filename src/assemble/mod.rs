//! From cells to networks and objectives that train: the one match over algorithms, and what the child process does. (torch)

mod applications;
pub mod build;
mod device;
mod latent;
pub mod samples;
pub mod worker;
