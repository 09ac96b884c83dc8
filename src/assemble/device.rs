//! Opening the device that a worker computes on. (torch)

use crate::base::unbound;
use tch::{Cuda, Device, Kind, Tensor};

/// Opens `cpu` or `cuda:N` and sets the threads of operations on the CPU.
///
/// # Errors
/// A sentence that says why there is no such device.
pub fn open(name: &str, threads: usize) -> Result<Device, String> {
    let threads = i32::try_from(threads.max(1)).unwrap_or(1);
    tch::set_num_threads(threads);
    // libtorch's own default lets cuDNN use TF32. A training step alone may, where its run asks for it.
    unbound::allow_tf32(false);
    let Some(index) = name.strip_prefix("cuda") else {
        return if name == "cpu" { Ok(Device::Cpu) } else { Err(format!("there is no device `{name}`")) };
    };
    let index: usize = index.trim_start_matches(':').parse().unwrap_or(0);
    load_cuda()?;
    if index >= usize::try_from(Cuda::device_count()).unwrap_or(0) {
        return Err(format!("there is no device `{name}`: libtorch sees {} CUDA devices", Cuda::device_count()));
    }
    Cuda::cudnn_set_benchmark(true);
    let device = Device::Cuda(index);
    // A device that has no kernels in this libtorch shows only when one is started.
    let probe = || Tensor::f_ones([1], (Kind::Float, device))?.f_add_scalar(1.0)?.f_double_value(&[0]);
    match probe() {
        Ok(_) => Ok(device),
        Err(error) => {
            let text = error.to_string();
            Err(format!("{name} cannot be used: {}", text.lines().next().unwrap_or_default()))
        }
    }
}

/// Settings of the process that must be made before libtorch computes and before other threads start.
pub fn prepare() {
    // SAFETY: no other thread runs yet.
    #[expect(unsafe_code, reason = "MKL takes this setting from the environment alone")]
    unsafe {
        // Products of one matrix and of a batch of them round alike, so that a run has the same bits in every pack.
        std::env::set_var("MKL_CBWR", "AUTO");
    }
    keep_memory();
    // Takes effect once a process; nothing here runs operations beside each other.
    tch::set_num_interop_threads(1);
}

/// Tells the allocator to keep what it has. A pack asks for the same megabytes in every step; given back to the system
/// each time, they came back as page faults, which were two thirds of a pack's time.
fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `mallopt` sets parameters of the allocator; it is called before other threads start.
        #[expect(unsafe_code, reason = "the allocator has no other interface")]
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
            libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        }
    }
}

/// What is found, for `gantlet doctor`.
pub fn facts() -> Vec<(String, String)> {
    let cuda = match load_cuda() {
        Ok(()) => format!("{} devices", Cuda::device_count()),
        Err(reason) => format!("none: {reason}"),
    };
    vec![("cuda".to_owned(), cuda)]
}

/// Loads libtorch's CUDA part. Nothing names it at link time, so that one binary serves machines with and without it.
fn load_cuda() -> Result<(), String> {
    // SAFETY: loading the library runs its static constructors, which register kernels and do nothing else; the handle
    // is never closed.
    #[expect(unsafe_code, reason = "a library can be loaded in no other way")]
    let library = unsafe { libloading::os::unix::Library::open(Some("libtorch_cuda.so"), 0x102) };
    match library {
        Ok(library) => {
            std::mem::forget(library);
            if Cuda::is_available() { Ok(()) } else { Err("libtorch finds no usable driver".to_owned()) }
        }
        Err(error) => Err(format!("libtorch's CUDA part cannot be loaded: {error}")),
    }
}
