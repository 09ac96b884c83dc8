//! What NVIDIA's driver reports about its devices. Its own library is asked, because it is present wherever a device can be
//! used and takes into account what files do not show: `CUDA_VISIBLE_DEVICES`, MIG, containers, WSL.

use libloading::Library;
use std::ffi::{CStr, c_char, c_int, c_uint};

/// The library's name on Linux.
pub const LIBRARY: &str = "libcuda.so.1";
/// `CUDA_ERROR_NO_DEVICE`, which is an answer and no failure.
const NO_DEVICE: c_int = 100;
/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `_MINOR`.
const CAPABILITY: [c_int; 2] = [75, 76];

/// What the driver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The library cannot be loaded: no driver is installed.
    Missing,
    /// A call failed; which one and how.
    Failed(String),
    /// The driver works.
    Ready {
        /// The newest CUDA that it supports: 1000 · major + 10 · minor.
        version: i32,
        /// The devices of this process, in CUDA's order.
        gpus: Vec<Gpu>,
    },
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// What NVIDIA calls it.
    pub name: String,
    /// Its compute capability, major and minor.
    pub capability: [i32; 2],
}

impl Driver {
    /// Asks the driver's library, by its name or its path.
    pub fn ask(library: &str) -> Self {
        // SAFETY: loading the driver's library runs its initializers, which start nothing; it is never unloaded.
        #[expect(unsafe_code, reason = "a library can be loaded in no other way")]
        let Ok(library) = (unsafe { Library::new(library) }) else { return Self::Missing };
        let answer = questions(&library);
        std::mem::forget(library);
        answer.unwrap_or_else(Self::Failed)
    }
}

/// The types of the functions are those of NVIDIA's header cuda.h.
fn questions(library: &Library) -> Result<Driver, String> {
    type OneNumber = extern "C" fn(*mut c_int) -> c_int;
    let (mut version, mut count) = (0, 0);
    good("cuDriverGetVersion", function::<OneNumber>(library, "cuDriverGetVersion")?(&raw mut version))?;
    let code = function::<extern "C" fn(c_uint) -> c_int>(library, "cuInit")?(0);
    if code == NO_DEVICE {
        return Ok(Driver::Ready { version, gpus: Vec::new() });
    }
    good("cuInit", code)?;
    good("cuDeviceGetCount", function::<OneNumber>(library, "cuDeviceGetCount")?(&raw mut count))?;
    let get = function::<extern "C" fn(*mut c_int, c_int) -> c_int>(library, "cuDeviceGet")?;
    let get_name = function::<extern "C" fn(*mut c_char, c_int, c_int) -> c_int>(library, "cuDeviceGetName")?;
    let get_attribute = function::<extern "C" fn(*mut c_int, c_int, c_int) -> c_int>(library, "cuDeviceGetAttribute")?;
    let gpu = |index: c_int| {
        let (mut device, mut name, mut capability) = (0, [0 as c_char; 128], [0, 0]);
        good("cuDeviceGet", get(&raw mut device, index))?;
        good("cuDeviceGetName", get_name(name.as_mut_ptr(), 127, device))?;
        for (value, attribute) in capability.iter_mut().zip(CAPABILITY) {
            good("cuDeviceGetAttribute", get_attribute(&raw mut *value, attribute, device))?;
        }
        // SAFETY: the array is longer than what the driver was allowed to write, so a zero follows.
        #[expect(unsafe_code, reason = "a text of C")]
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        Ok(Gpu { name, capability })
    };
    Ok(Driver::Ready { version, gpus: (0..count).map(gpu).collect::<Result<_, String>>()? })
}

/// A function of the library, which is never unloaded.
fn function<F: Copy>(library: &Library, name: &str) -> Result<F, String> {
    // SAFETY: the caller gives the function's type as cuda.h declares it.
    #[expect(unsafe_code, reason = "a function of a library that was loaded at run time")]
    let found = unsafe { library.get::<F>(name.as_bytes()) };
    found.map(|symbol| *symbol).map_err(|_| format!("{LIBRARY} has no {name}"))
}

fn good(name: &str, code: c_int) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("{name} fails with error {code}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A driver library made by the C compiler, with a version, a result of `cuInit`, and as many devices as `count`.
    fn fake(version: i32, init: i32, count: i32) -> Driver {
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("driver.c"), folder.path().join("libcuda.so"));
        let text = format!(
            "int cuInit(unsigned flags) {{ return {init}; }}
             int cuDriverGetVersion(int *v) {{ *v = {version}; return 0; }}
             int cuDeviceGetCount(int *n) {{ *n = {count}; return 0; }}
             int cuDeviceGet(int *d, int i) {{ *d = 7 + i; return 0; }}
             int cuDeviceGetName(char *s, int n, int d) {{ s[0] = 'A' + d; s[1] = 0; return 0; }}
             int cuDeviceGetAttribute(int *v, int a, int d) {{ *v = a == 75 ? d : a == 76 ? 5 : -1; return 0; }}"
        );
        std::fs::write(&source, text).unwrap();
        let made =
            std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        assert!(made.unwrap().success());
        Driver::ask(library.to_str().unwrap())
    }

    #[test]
    fn the_driver_is_asked_for_its_version_and_its_devices() {
        let gpu = |name: &str, capability| Gpu { name: name.to_owned(), capability };
        assert_eq!(fake(13010, 0, 2), Driver::Ready { version: 13010, gpus: vec![gpu("H", [7, 5]), gpu("I", [8, 5])] });
    }

    #[test]
    fn a_driver_without_devices_works_and_one_that_fails_is_quoted() {
        assert_eq!(fake(12040, 100, 3), Driver::Ready { version: 12040, gpus: Vec::new() });
        assert_eq!(fake(12040, 803, 3), Driver::Failed("cuInit fails with error 803".to_owned()));
        assert_eq!(Driver::ask("/nowhere/libcuda.so.1"), Driver::Missing);
    }
}
