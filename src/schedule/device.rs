//! Which devices runs are trained on, decided without loading libtorch from what the driver and libtorch's files show.

use super::ScheduleError;
use super::driver::{self, Driver, Gpu};
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

/// The CUDA part of a libtorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CudaPart {
    /// The major version of CUDA that it was built for, where that can be found out.
    pub major: Option<i32>,
}

impl CudaPart {
    /// The CUDA part of the libtorch in a folder, where it has one.
    pub fn of(libtorch: &Path) -> Option<Self> {
        let library = libtorch.join("lib/libtorch_cuda.so");
        // A small library that comes with the large one and names the same runtime.
        let small = || std::fs::read(libtorch.join("lib/libc10_cuda.so")).unwrap_or_default();
        library.exists().then(|| Self { major: runtime_named_in(&small()) })
    }

    /// The least compute capability that this CUDA's compilers support, by NVIDIA's release notes: 12 dropped Kepler, and 13
    /// dropped Maxwell, Pascal and Volta.
    fn least_capability(self) -> [i32; 2] {
        match self.major {
            None | Some(..=11) => [0, 0],
            Some(12) => [5, 0],
            Some(13..) => [7, 5],
        }
    }
}

/// The major version in the name of CUDA's runtime library that a library needs: `libcudart.so.13`, or
/// `libcudart-9335f6a2.so.12` in libtorch's own packages.
fn runtime_named_in(library: &[u8]) -> Option<i32> {
    let (name, so) = (b"libcudart", b".so.");
    let after = |at: usize| {
        let rest = &library[at + name.len()..];
        let rest = &rest[..rest.len().min(40)];
        let rest = &rest[rest.windows(so.len()).position(|window| window == so)? + so.len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    };
    let found = library.windows(name.len()).enumerate().filter(|(_, window)| window == name);
    found.map(|(at, _)| at).find_map(after)
}

/// What this machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What NVIDIA's driver answers.
    pub driver: Driver,
    /// The CUDA part of the libtorch at hand.
    pub cuda: Option<CudaPart>,
}

/// The devices that a choice comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Where workers compute.
    pub devices: Vec<Device>,
    /// Whether the CPU may take over where none of them turns out to be usable.
    pub may_fall_back: bool,
    /// Why devices that are there are not used.
    pub note: Option<String>,
}

impl Found {
    /// Looks around.
    pub fn now(libtorch: Option<&Path>) -> Self {
        Self { driver: Driver::ask(driver::LIBRARY), cuda: libtorch.and_then(CudaPart::of) }
    }

    /// Why a device that the driver shows cannot be used.
    fn unfit(&self, gpu: &Gpu) -> Option<String> {
        let least = self.cuda?.least_capability();
        let [[major, minor], [least_major, least_minor]] = [gpu.capability, least];
        (gpu.capability < least).then(|| {
            format!(
                "{} has compute capability {major}.{minor}, and this libtorch needs {least_major}.{least_minor}",
                gpu.name
            )
        })
    }

    /// The devices that the driver shows, where this libtorch can use the driver.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn gpus(&self) -> Result<&[Gpu], String> {
        let (version, gpus) = match &self.driver {
            Driver::Missing => return Err(format!("there is no NVIDIA driver on this machine ({})", driver::LIBRARY)),
            Driver::Failed(how) => return Err(format!("the NVIDIA driver does not work: {how}")),
            Driver::Ready { gpus, .. } if gpus.is_empty() => {
                return Err("the NVIDIA driver shows no device to this process".to_owned());
            }
            Driver::Ready { version, gpus } => (*version, gpus),
        };
        let Some(cuda) = self.cuda else {
            return Err("this libtorch has no CUDA part (libtorch_cuda.so); `just setup` fetches one".to_owned());
        };
        match cuda.major.filter(|&major| version < 1000 * major) {
            Some(major) => Err(format!(
                "the NVIDIA driver supports CUDA {}.{}, and this libtorch needs CUDA {major}: install a newer driver, or \
                 let LIBTORCH name a libtorch for CUDA {}",
                version / 1000,
                version % 1000 / 10,
                version / 1000
            )),
            None => Ok(gpus),
        }
    }

    /// The devices that a choice comes to.
    ///
    /// # Errors
    /// If CUDA is asked for by name and cannot be used.
    pub fn devices(&self, choice: DeviceChoice) -> Result<Chosen, ScheduleError> {
        let on_cpu = |note| Ok(Chosen { devices: vec![Device::Cpu], may_fall_back: false, note });
        let missing =
            |why: String| Err(ScheduleError::Device(format!("{why}; leave --device out, or give --device cpu")));
        let auto = choice == DeviceChoice::Auto;
        if choice == DeviceChoice::Cpu {
            return on_cpu(None);
        }
        let gpus = match self.gpus() {
            Ok(gpus) => gpus,
            Err(why) if auto => {
                // A machine without devices is no news.
                let news = match &self.driver {
                    Driver::Missing => false,
                    Driver::Failed(_) => true,
                    Driver::Ready { gpus, .. } => !gpus.is_empty(),
                };
                return on_cpu(news.then(|| format!("{why}; computing on the CPU")));
            }
            Err(why) => return missing(why),
        };
        if let DeviceChoice::Cuda(number) = choice {
            return match gpus.get(number).map(|gpu| self.unfit(gpu)) {
                None => {
                    missing(format!("there is no cuda:{number}: the devices are cuda:0 to cuda:{}", gpus.len() - 1))
                }
                Some(Some(why)) => missing(why),
                Some(None) => Ok(Chosen { devices: vec![Device::Cuda(number)], may_fall_back: false, note: None }),
            };
        }
        let unfit: Vec<String> = gpus.iter().filter_map(|gpu| self.unfit(gpu)).collect();
        let note = (!unfit.is_empty()).then(|| unfit.join("; "));
        let fit = (0..gpus.len()).filter(|&number| self.unfit(&gpus[number]).is_none());
        let devices: Vec<Device> = fit.map(Device::Cuda).collect();
        match (devices.is_empty(), note) {
            (true, Some(why)) if auto => on_cpu(Some(format!("{why}; computing on the CPU"))),
            (true, why) => missing(why.unwrap_or_default()),
            (false, note) => Ok(Chosen { devices, may_fall_back: auto, note }),
        }
    }
}

/// The folder of the libtorch that this program was built with, or that `LIBTORCH` names.
pub fn libtorch_folder(named: Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| option_env!("LIBTORCH").map(PathBuf::from)).filter(|root| root.join("lib").is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUDA_13: Option<CudaPart> = Some(CudaPart { major: Some(13) });

    fn found(version: i32, capabilities: &[[i32; 2]], cuda: Option<CudaPart>) -> Found {
        let gpu = |(n, &capability): (usize, &[i32; 2])| Gpu { name: format!("gpu {n}"), capability };
        Found { driver: Driver::Ready { version, gpus: capabilities.iter().enumerate().map(gpu).collect() }, cuda }
    }

    fn auto(found: &Found) -> (Vec<Device>, bool, String) {
        let chosen = found.devices(DeviceChoice::Auto).unwrap();
        (chosen.devices, chosen.may_fall_back, chosen.note.unwrap_or_default())
    }

    fn error(found: &Found, choice: &str) -> String {
        found.devices(choice.parse().unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn auto_takes_the_devices_that_the_driver_shows_and_libtorch_can_use() {
        // Also in a container with eight folders in /proc and one device, and under WSL, which has no such folders.
        assert_eq!(auto(&found(13000, &[[9, 0]], CUDA_13)), (vec![Device::Cuda(0)], true, String::new()));
        let (devices, _, note) = auto(&found(13010, &[[7, 0], [8, 6]], CUDA_13));
        assert_eq!(devices, [Device::Cuda(1)]);
        assert_eq!(note, "gpu 0 has compute capability 7.0, and this libtorch needs 7.5");
    }

    #[test]
    fn auto_falls_back_to_the_cpu_and_gives_the_reason_where_there_is_a_device() {
        let cpu = |found: Found, note: &str| {
            let (devices, may_fall_back, said) = auto(&found);
            assert_eq!((devices, may_fall_back), (vec![Device::Cpu], false));
            assert!(said.contains(note) && said.is_empty() == note.is_empty(), "{said}");
        };
        cpu(found(12040, &[[9, 0]], CUDA_13), "supports CUDA 12.4, and this libtorch needs CUDA 13");
        cpu(found(13000, &[[7, 0]], CUDA_13), "compute capability 7.0");
        cpu(found(13000, &[[9, 0]], None), "no CUDA part");
        cpu(Found { driver: Driver::Failed("cuInit fails with error 803".to_owned()), cuda: CUDA_13 }, "error 803");
        cpu(found(13000, &[], CUDA_13), "");
        cpu(Found { driver: Driver::Missing, cuda: CUDA_13 }, "");
    }

    #[test]
    fn an_older_libtorch_takes_older_drivers_and_devices() {
        let cuda_12 = Some(CudaPart { major: Some(12) });
        assert_eq!(auto(&found(12040, &[[7, 0]], cuda_12)).0, [Device::Cuda(0)]);
        assert_eq!(auto(&found(12040, &[[3, 7]], cuda_12)).0, [Device::Cpu]);
        let unknown = Some(CudaPart { major: None });
        assert_eq!(auto(&found(11000, &[[3, 7]], unknown)).0, [Device::Cuda(0)]);
    }

    #[test]
    fn a_device_asked_for_by_name_and_not_usable_is_an_error() {
        assert!(error(&Found { driver: Driver::Missing, cuda: CUDA_13 }, "cuda").contains("no NVIDIA driver"));
        assert!(error(&found(13000, &[[9, 0]], None), "cuda:0").contains("libtorch_cuda.so"));
        assert!(error(&found(13000, &[[9, 0], [9, 0]], CUDA_13), "cuda:2").contains("cuda:0 to cuda:1"));
        assert!(error(&found(12080, &[[9, 0]], CUDA_13), "cuda").contains("CUDA 12.8"));
        assert!(error(&found(13000, &[[9, 0], [7, 0]], CUDA_13), "cuda:1").contains("compute capability 7.0"));
        assert!("gpu".parse::<DeviceChoice>().is_err());
        let one = found(13000, &[[9, 0]], CUDA_13).devices(DeviceChoice::Cuda(0)).unwrap();
        assert_eq!((one.devices, one.may_fall_back), (vec![Device::Cuda(0)], false));
    }

    #[test]
    fn the_cuda_that_libtorch_needs_is_read_from_its_library() {
        assert_eq!(runtime_named_in(b"\0cudaFree\0libcudart.so.13\0libc10.so\0"), Some(13));
        assert_eq!(runtime_named_in(b"libcudart_static libcudart-9335f6a2.so.12\0"), Some(12));
        assert_eq!(runtime_named_in(b"libc10.so libcudart"), None);
        // The wheel keeps this library also where its CUDA part is left out.
        if let Ok(library) = std::fs::read(libtorch_folder(None).unwrap().join("lib/libc10_cuda.so")) {
            assert!(runtime_named_in(&library).is_some_and(|major| major >= 11));
        }
    }
}
