//! Which devices there are, found without loading libtorch.

use super::ScheduleError;
use std::path::{Path, PathBuf};

/// Where a worker computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Device {
    /// The processor.
    Cpu,
    /// A CUDA device by its number.
    Cuda(usize),
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.pad("cpu"),
            Self::Cuda(number) => f.pad(&format!("cuda:{number}")),
        }
    }
}

/// What `--device` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// CUDA devices where there are any, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// All CUDA devices.
    AllCuda,
    /// One CUDA device.
    Cuda(usize),
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::AllCuda),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| "expected auto, cpu, cuda, or cuda:N".to_owned()),
        }
    }
}

/// What this machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The names of the NVIDIA devices that this process may see.
    pub gpus: Vec<String>,
    /// Whether the libtorch at hand was built for them.
    pub cuda_libtorch: bool,
}

impl Found {
    /// Looks around.
    pub fn now(visible: Option<&str>, libtorch: Option<&Path>) -> Self {
        let cuda_libtorch = libtorch.is_some_and(|root| root.join("lib/libtorch_cuda.so").exists());
        Self { gpus: visible_gpus(gpus(), visible), cuda_libtorch }
    }

    /// The devices that a choice comes to.
    ///
    /// # Errors
    /// If CUDA is asked for by name and is not there.
    pub fn devices(&self, choice: DeviceChoice) -> Result<Vec<Device>, ScheduleError> {
        let missing = |what: String| Err(ScheduleError::Device(what));
        let n = self.gpus.len();
        match choice {
            DeviceChoice::Cpu => Ok(vec![Device::Cpu]),
            DeviceChoice::Auto if n == 0 || !self.cuda_libtorch => Ok(vec![Device::Cpu]),
            _ if n == 0 => {
                missing("there is no CUDA device on this machine: leave --device out, or say cpu".to_owned())
            }
            _ if !self.cuda_libtorch => missing(
                "this libtorch has no CUDA part (libtorch_cuda.so): set up the CUDA build, or say --device cpu"
                    .to_owned(),
            ),
            DeviceChoice::Cuda(number) if number >= n => {
                missing(format!("there is no cuda:{number}: the devices are cuda:0 to cuda:{}", n - 1))
            }
            DeviceChoice::Cuda(number) => Ok(vec![Device::Cuda(number)]),
            DeviceChoice::Auto | DeviceChoice::AllCuda => Ok((0..n).map(Device::Cuda).collect()),
        }
    }
}

/// The NVIDIA devices that the driver shows.
fn gpus() -> Vec<String> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/proc/driver/nvidia/gpus")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    folders.sort();
    let model = |folder: &PathBuf| {
        let text = std::fs::read_to_string(folder.join("information")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Model:"));
        line.map_or_else(|| "NVIDIA device".to_owned(), |name| name.trim().to_owned())
    };
    if !folders.is_empty() {
        return folders.iter().map(model).collect();
    }
    // Containers often show the devices and not the driver's folder.
    (0..64).filter(|n| Path::new(&format!("/dev/nvidia{n}")).exists()).map(|_| "NVIDIA device".to_owned()).collect()
}

/// Those that `CUDA_VISIBLE_DEVICES` leaves; CUDA numbers them anew, in the order named, up to the first unknown one.
fn visible_gpus(all: Vec<String>, visible: Option<&str>) -> Vec<String> {
    let Some(visible) = visible else { return all };
    let mut left = Vec::new();
    for name in visible.split(',').map(str::trim) {
        match name.parse::<usize>() {
            Ok(number) if number < all.len() => left.push(all[number].clone()),
            // Names such as GPU-8932f937 are for CUDA to resolve.
            Err(_) if name.starts_with("GPU-") || name.starts_with("MIG-") => left.push(name.to_owned()),
            _ => break,
        }
    }
    left
}

/// The folder of the libtorch that this program was built with, or that `LIBTORCH` names.
pub fn libtorch_folder(named: Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| option_env!("LIBTORCH").map(PathBuf::from)).filter(|root| root.join("lib").is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(gpus: usize, cuda_libtorch: bool) -> Found {
        Found { gpus: (0..gpus).map(|n| format!("gpu {n}")).collect(), cuda_libtorch }
    }

    #[test]
    fn auto_takes_cuda_where_device_and_library_are_there() {
        let auto = |found: Found| found.devices(DeviceChoice::Auto).unwrap();
        assert_eq!(auto(found(2, true)), [Device::Cuda(0), Device::Cuda(1)]);
        assert_eq!(auto(found(2, false)), [Device::Cpu]);
        assert_eq!(auto(found(0, true)), [Device::Cpu]);
    }

    #[test]
    fn a_device_asked_for_by_name_and_missing_is_an_error() {
        let error = |found: Found, choice: &str| found.devices(choice.parse().unwrap()).unwrap_err().to_string();
        assert!(error(found(0, true), "cuda").contains("no CUDA device"));
        assert!(error(found(1, false), "cuda:0").contains("libtorch_cuda.so"));
        assert!(error(found(2, true), "cuda:2").contains("cuda:0 to cuda:1"));
        assert!("gpu".parse::<DeviceChoice>().is_err());
    }

    #[test]
    fn hidden_devices_are_not_counted() {
        let all = || found(3, true).gpus;
        assert_eq!(visible_gpus(all(), None).len(), 3);
        assert_eq!(visible_gpus(all(), Some("")), Vec::<String>::new());
        assert_eq!(visible_gpus(all(), Some("-1")), Vec::<String>::new());
        assert_eq!(visible_gpus(all(), Some("2,0")), ["gpu 2", "gpu 0"]);
        assert_eq!(visible_gpus(all(), Some("1,7,0")), ["gpu 1"]);
    }
}
