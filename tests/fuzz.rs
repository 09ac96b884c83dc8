//! Everything that reads bytes, given bytes that are nearly right: it answers with a result or an error, soon, without a
//! panic, and without an allocation out of proportion.

use gantlet::data::{DataRoots, DataSpec};
use gantlet::experiment::{Experiment, Headers, Plan};
use gantlet::record::run::RunDir;
use gantlet::record::{checkpoint, event, grid};
use proptest::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The largest allocation that any reader may make of the small inputs here. The TIFF decoder takes up to 128 MiB between
/// file and picture; all others stay far below.
const MOST: usize = 160 << 20;

/// The system's allocator, which remembers the largest allocation that was asked for.
struct Watched;

/// Of the whole process, because readers share their work among threads of their own.
static LARGEST: AtomicUsize = AtomicUsize::new(0);
/// Held while one test reads, so that no test sees what another one allocates.
static READING: Mutex<()> = Mutex::new(());

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: all is handed on to the system's allocator, and a null pointer is the answer for no memory.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // Better an abort that a test sees than a machine without memory.
        if layout.size() > 1 << 32 { std::ptr::null_mut() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        if layout.size() > 1 << 32 { std::ptr::null_mut() } else { unsafe { System.alloc_zeroed(layout) } }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Reads, and looks at what it took.
fn frugal<T>(read: impl FnOnce() -> T) -> T {
    let _alone = READING.lock().unwrap_or_else(PoisonError::into_inner);
    let began = Instant::now();
    LARGEST.store(0, Ordering::Relaxed);
    let result = read();
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest < MOST, "the reader asked for {largest} bytes at once");
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    result
}

#[test]
fn an_allocation_counts_for_the_test_whose_reader_makes_it() {
    let large = || drop(Vec::<u8>::with_capacity(2 * MOST));
    let (begin, begun) = channel::<()>();
    let (end, ended) = channel::<()>();
    let other = std::thread::spawn(move || {
        begun.recv().expect("the word to begin");
        let in_a_thread_of_its_own = || std::thread::scope(|scope| drop(scope.spawn(large)));
        let caught = std::panic::catch_unwind(|| frugal(in_a_thread_of_its_own));
        end.send(()).expect("somebody waits");
        caught
    });
    frugal(|| {
        begin.send(()).expect("the other thread waits");
        let _done_or_waiting = ended.recv_timeout(Duration::from_millis(300));
    });
    assert!(other.join().expect("its panic is caught").is_err(), "it was not counted where it belongs");
}

/// One change: what, where, how far, and with what.
type Change = (u8, f64, f64, u8);

/// Numbers at the edges of what types hold.
const EDGES: [&str; 14] = [
    "0",
    "-1",
    "1",
    "1e308",
    "-1e-320",
    "nan",
    "inf",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "1e400",
    "0.1",
];

fn changed(base: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for &(what, from, length, byte) in changes {
        let place = |share: f64, n: usize| ((share * n as f64) as usize).min(n.saturating_sub(1));
        let at = place(from, bytes.len());
        let until = (at + 1 + place(length * length * length, bytes.len())).min(bytes.len());
        if bytes.is_empty() {
            bytes.push(byte);
            continue;
        }
        match what % 8 {
            0 => bytes[at] ^= byte | 1,
            1 => bytes.insert(at, byte),
            2 => drop(bytes.drain(at..until)),
            3 => bytes.truncate(at),
            4 => {
                let piece = bytes[at..until].to_vec();
                let to = place(length, bytes.len());
                bytes.splice(to..to, piece);
            }
            5 => bytes[at..until].fill(byte),
            // The next number becomes one at an edge.
            _ => {
                let digit = |b: &u8| b.is_ascii_digit() || *b == b'.';
                if let Some(start) = bytes[at..].iter().position(|b| b.is_ascii_digit()).map(|n| n + at) {
                    let end = start + bytes[start..].iter().take_while(|b| digit(b)).count();
                    let edge = EDGES[usize::from(byte) % EDGES.len()];
                    bytes.splice(start..end, edge.bytes());
                }
            }
        }
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((any::<u8>(), 0.0..1.0f64, 0.0..1.0f64, any::<u8>()), 1..6)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The shipped experiments.
fn experiments() -> Vec<(PathBuf, String)> {
    let files = walkdir::WalkDir::new(root().join("experiments")).sort_by_file_name().into_iter();
    let files = files.map(|e| e.expect("a readable folder").into_path());
    let tomls = files.filter(|p| p.extension().is_some_and(|e| e == "toml"));
    tomls.map(|path| (path.clone(), std::fs::read_to_string(path).expect("a text"))).collect()
}

fn nowhere() -> DataRoots {
    DataRoots { folders: vec!["/nonexistent".into()] }
}

fn plan(file: &Path, text: &str) {
    frugal(|| match Plan::of_text(file, text, Some(&Headers::new(nowhere()))) {
        Ok(plan) => {
            for cell in plan.cells.iter().take(3) {
                assert!(Path::new(&cell.run).components().count() == 1, "{}", cell.run);
                assert!(Path::new(&plan.name).components().count() == 1, "{}", plan.name);
                assert!(toml::from_str::<Experiment>(&cell.document()).is_ok());
            }
        }
        Err(wrong) => assert!(!wrong.to_string().is_empty()),
    });
}

/// A small file of each format with a spec that reads it.
fn data_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    use std::io::Write as _;
    let gzip = |bytes: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).expect("memory");
        packed.finish().expect("memory")
    };
    let picture = |format: image::ImageFormat| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let picture = image::RgbImage::from_fn(9, 8, |x, y| image::Rgb([20 * x as u8, 30 * y as u8, 7]));
        picture.write_to(&mut bytes, format).expect("memory");
        bytes.into_inner()
    };
    let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 2, 0, 0, 0, 3];
    idx.extend(0..36);
    let mut cifar = Vec::new();
    for label in 0..3u8 {
        cifar.push(label);
        cifar.extend((0..3072).map(|i| (i % 251) as u8));
    }
    let mut table = "a,b,kind\n".to_owned();
    for i in 0..12 {
        table += &format!("{i},{}.5,{}\n", i * i, ["x", "\"y, z\""][i % 2]);
    }
    vec![
        ("i.idx", idx.clone(), "[idx]\nimages = 'i.idx'"),
        ("i.gz", gzip(&idx), "[idx]\nimages = 'i.gz'"),
        ("i.bin", cifar.clone(), "[cifar]\nfiles = ['i.bin']"),
        ("i.bin.gz", gzip(&cifar), "[cifar]\nfiles = ['i.bin.gz']\nclasses = [1]"),
        ("t.csv", table.into_bytes(), "[csv]\npath = 't.csv'\nlabel = 'kind'"),
        ("p/a.png", picture(image::ImageFormat::Png), "[folder]\npath = 'p'\nsize = 4"),
        ("p/a.jpg", picture(image::ImageFormat::Jpeg), "[folder]\npath = 'p'\nsize = 4\nhalf = 'left'"),
        ("p/a.gif", picture(image::ImageFormat::Gif), "[folder]\npath = 'p'\nsize = 4\nchannels = 1"),
        ("p/a.bmp", picture(image::ImageFormat::Bmp), "[folder]\npath = 'p'\nsize = 4"),
        ("p/a.webp", picture(image::ImageFormat::WebP), "[folder]\npath = 'p'\nsize = 4"),
        ("p/a.tiff", picture(image::ImageFormat::Tiff), "[folder]\npath = 'p'\nsize = 4"),
        ("p/a.ppm", picture(image::ImageFormat::Pnm), "[folder]\npath = 'p'\nsize = 4"),
    ]
}

/// What opening a set of these bytes says: nothing, or what is wrong.
fn open(name: &str, bytes: &[u8], spec: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, bytes).expect("a file");
    let spec: DataSpec = toml::from_str(spec).expect("a spec of the test");
    let roots = DataRoots { folders: vec![folder.path().to_owned()] };
    frugal(|| {
        let known = spec.info(&roots);
        let opened = spec.open(&roots);
        if let (Ok(known), Ok(opened)) = (&known, &opened) {
            assert_eq!(known.shape, opened.info().shape);
        }
        opened.err().map(|error| error.to_string())
    })
}

/// A run's `run.json` without the checksum that would end every look at it.
const STATE: &str = r#"{"version":1,"id":"0123abcd","experiment":"toy","run":"a","state":"failed","step":30,"steps":60,
"seconds":1.5,"steps_per_second":100.5,"seed":7,"varies":{"loss":"hinge","seed":"7"},"device":"cpu","threads":1,
"pack_size":2,"versions":{"gantlet":"0.1.0","libtorch":"2.11.0"},"process":{"pid":3,"host":"h","started":"2026"},
"reason":"r","log_tail":"t","checkpoints":[10,20],"files":{"x":"3 0000000000000000000000000000000000000000000000000000000000000000"}}"#;
const METRICS: &str = "step,d/loss,g/loss\n10,0.5,\n20,nan,1e-7\n30,inf,3\n";
const EVAL: &str = "step,metric,value,n,split\n10,w1,0.5,100,test\n20,w1,,100,\"te,st\"\n30,mean,-1e300,100,test\n";
const CONFIG: &str = "name = 'toy'\nseed = 7\n[loss]\nadversarial = 'hinge'\n[schedule]\nsteps = 60\n";

/// What all that look at runs say of one with this file changed.
fn look_at_run(name: &str, bytes: &[u8]) {
    let out = tempfile::tempdir().expect("a folder");
    let dir = RunDir::at(out.path().join("toy/a"));
    std::fs::create_dir_all(&dir.path).expect("a folder");
    for (file, text) in [("run.json", STATE), ("metrics.csv", METRICS), ("eval.csv", EVAL), ("config.toml", CONFIG)] {
        std::fs::write(dir.path.join(file), if file == name { bytes } else { text.as_bytes() }).expect("a file");
    }
    frugal(|| {
        if let Ok(summary) = grid::summarize(&dir) {
            assert!(grid::grid(&[summary]).lines().count() == 2);
        }
        if let Ok(runs) = gantlet::report::load::load(&[out.path().to_owned()]) {
            let options = gantlet::report::compare::Options::default();
            if let Ok(table) = gantlet::report::compare::compare(&runs, &options) {
                assert!(!table.text(80).is_empty() && !table.csv().is_empty() && !table.json().is_empty());
            }
        }
    });
}

fn lines_between_gantlet_and_its_worker() -> Vec<String> {
    let job = event::Job { runs: vec!["runs/a".into()], data_roots: vec![], device: "cpu".into(), threads: 2 };
    let mut request = Vec::new();
    event::write_request(&mut request, &event::WorkerRequest::Train(job)).expect("memory");
    let scalars = vec![("d/loss".to_owned(), Some(0.5)), ("g/loss".to_owned(), None)];
    let progress = event::Event::Progress { run: 3, together: 2, step: 10, steps: 100, rate: 1e4, scalars };
    let state = gantlet::record::State::Diverged;
    let ended = event::Event::State { run: 0, state, step: 9, reason: Some("why".to_owned()) };
    let mut lines = vec![String::from_utf8(request).expect("JSON")];
    for event in [progress, ended, event::Event::Bye] {
        let mut line = Vec::new();
        event::write_event(&mut line, &event).expect("memory");
        lines.push(String::from_utf8(line).expect("JSON"));
    }
    lines
}

proptest! {
    // PROPTEST_CASES asks for more than the 256 of each; `just soak` does.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_experiments(which in any::<prop::sample::Index>(), changes in changes()) {
        let all = experiments();
        let (path, text) = &all[which.index(all.len())];
        if let Ok(text) = String::from_utf8(changed(text.as_bytes(), &changes)) {
            plan(path, &text);
        }
    }

    #[test]
    fn what_the_command_line_sets(
        key in "[a-z0-9.\"\\[\\]{}=-]{0,40}",
        value in "[a-z0-9.\"'\\[\\]{}=,+-]{0,40}",
        known in prop::sample::select(vec!["", "seeds", "grid", "data", "schedule.steps", "optimizer.generator", "loss.penalties.0"]),
    ) {
        let file = root().join("experiments/demo.toml");
        let sets = [format!("{known}{key}={value}"), format!("{known}={value}")];
        for set in sets {
            frugal(|| drop(Plan::load(std::slice::from_ref(&file), &[set], Some(&Headers::new(nowhere())))));
        }
    }

    #[test]
    fn changed_data(which in any::<prop::sample::Index>(), changes in changes()) {
        let all = data_files();
        let (name, bytes, spec) = &all[which.index(all.len())];
        open(name, &changed(bytes, &changes), spec);
    }

    #[test]
    fn changed_files_of_a_run(which in 0..4usize, changes in changes()) {
        let files = [("run.json", STATE), ("metrics.csv", METRICS), ("eval.csv", EVAL), ("config.toml", CONFIG)];
        let (name, text) = files[which];
        look_at_run(name, &changed(text.as_bytes(), &changes));
    }

    #[test]
    fn changed_checkpoints(changes in changes()) {
        let folder = tempfile::tempdir().expect("a folder");
        let tensor = gantlet::record::TensorData::f32("g/w", vec![2, 3], vec![0.5; 6]);
        let path = checkpoint::save(folder.path(), 10, &[tensor], &Default::default()).expect("a checkpoint");
        let whole = std::fs::read(&path).expect("a file");
        let bytes = changed(&whole, &changes);
        std::fs::write(&path, &bytes).expect("a file");
        prop_assert!(frugal(|| checkpoint::load(&path)).is_err() || bytes == whole);
    }

    #[test]
    fn changed_events(which in any::<prop::sample::Index>(), changes in changes()) {
        let all = lines_between_gantlet_and_its_worker();
        let bytes = changed(all[which.index(all.len())].as_bytes(), &changes);
        frugal(|| {
            drop(event::read_request(&mut bytes.as_slice()));
            drop(event::read_event(&String::from_utf8_lossy(&bytes)));
        });
    }
}

#[test]
fn shipped_inputs_are_good_before_they_are_changed() {
    for (path, text) in experiments() {
        assert!(Plan::of_text(&path, &text, Some(&Headers::new(nowhere()))).is_ok(), "{}", path.display());
    }
    for (name, bytes, spec) in data_files() {
        assert_eq!(open(name, &bytes, spec), None, "{name}");
    }
}

#[test]
fn headers_that_promise_the_world_are_one_sentence() {
    use std::io::Write as _;
    let says = |name: &str, bytes: &[u8], spec: &str, words: &str| {
        let text = open(name, bytes, spec).expect("it is wrong");
        assert!(text.contains(words), "{text}");
    };
    // 2^32 images of 2^32 by 2^32, of 1 by 256, and a label for each of as many.
    let mut idx = vec![0, 0, 8, 3];
    idx.extend([0xff; 12]);
    says("i", &idx, "[idx]\nimages = 'i'", "has sizes in its header that no file has");
    let idx = [&[0, 0, 8, 3][..], &[0xff; 4], &[0, 0, 0, 1, 0, 0, 0, 0xff]].concat();
    says("i", &idx, "[idx]\nimages = 'i'", "is truncated");
    // A gigabyte of zeros in a megabyte, under a header that promises as much.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&[0, 0, 8, 3, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0]).expect("memory");
    let zeros = vec![0; 1 << 20];
    for _ in 0..1 << 8 {
        bomb.write_all(&zeros).expect("memory");
    }
    let bomb = bomb.finish().expect("memory");
    says("i", &bomb[..bomb.len() / 2], "[idx]\nimages = 'i'", "it comes to more than 200 times its size");
    says("i", &bomb, "[cifar]\nfiles = ['i']", "it comes to more than 200 times its size");
    // A picture of 100,000 by 100,000 pixels in a few bytes.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend([0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0, 8, 2, 0, 0, 0]);
    let checksum = crc(&png[12..]);
    png.extend(checksum.to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    says("p/a.png", &png, "[folder]\npath = 'p'", "p/a.png");
    // A picture of four pixels in seven million strips.
    let mut tiff = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(2, 2).write_to(&mut tiff, image::ImageFormat::Tiff).expect("memory");
    let mut tiff = tiff.into_inner();
    let strips = tiff.windows(4).position(|entry| entry == [0x11, 1, 4, 0]).expect("an entry for the strips");
    tiff[strips + 4..strips + 8].copy_from_slice(&7_000_000u32.to_le_bytes());
    says("p/a.tiff", &tiff, "[folder]\npath = 'p'", "it claims more values than its size can hold");
}

/// The checksum of a PNG's chunk (<https://www.w3.org/TR/png/#D-CRCAppendix>).
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 })
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[test]
fn nesting_without_end_is_one_sentence() {
    let file = Path::new("deep.toml");
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}{}", "[".repeat(50_000), "]".repeat(50_000)),
        format!("a = {}1{}", "{ a = ".repeat(50_000), " }".repeat(50_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        format!("[grid]\nzip = [{}]", "{ union = [".repeat(10_000)),
        format!("[grid]\n\"{}a\" = [1]", "a.".repeat(100_000)),
    ] {
        plan(file, &text);
    }
    let demo = root().join("experiments/demo.toml");
    for set in [format!("{}a=1", "a.".repeat(30_000)), format!("loss.x={}", "[".repeat(60_000))] {
        assert!(frugal(|| Plan::load(std::slice::from_ref(&demo), &[set], None)).is_err());
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    look_at_run("run.json", deep.as_bytes());
    assert!(event::read_event(&deep).is_err());
}

#[test]
fn an_experiment_names_no_folder_but_its_own() {
    let file = root().join("experiments/demo.toml");
    let demo = std::fs::read_to_string(&file).expect("a text");
    let named = demo.lines().filter(|line| !line.starts_with("name")).collect::<Vec<_>>().join("\n");
    for name in ["../../x", "/tmp/x", "..", ".", "", "a/b", "a\\\\b", "a\\u0000b", ".hidden"] {
        let text = format!("name = \"{name}\"\n{named}");
        let error = Plan::of_text(&file, &text, None).expect_err(name).to_string();
        assert!(error.contains("cannot name a folder"), "{name}: {error}");
    }
}

#[test]
fn more_runs_than_anybody_means_are_one_sentence() {
    let demo = root().join("experiments/demo.toml");
    for set in ["seeds=1000000", "seeds={ count = 1000000, first = 18446744073709551615 }"] {
        let wrong = frugal(|| Plan::load(std::slice::from_ref(&demo), &[set.to_owned()], None));
        assert!(wrong.is_err(), "{set}");
    }
}

#[test]
#[cfg(unix)]
fn a_link_leads_out_of_no_data_folder() {
    let (data, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let picture = image::RgbImage::from_pixel(4, 4, image::Rgb([9, 9, 9]));
    for place in [data.path().join("set/cats"), data.path().join("more"), other.path().join("dogs")] {
        std::fs::create_dir_all(&place).expect("a folder");
        picture.save(place.join("1.png")).expect("a picture");
    }
    let roots = DataRoots { folders: vec![data.path().to_owned()] };
    let spec: DataSpec = toml::from_str("[folder]\npath = 'set'\nsize = 4").expect("a spec");
    let link = |from: &Path, to: &str| {
        std::os::unix::fs::symlink(from, data.path().join("set").join(to)).expect("a link");
    };
    link(&data.path().join("more"), "dogs");
    assert_eq!(spec.open(&roots).expect("from one data folder to another").info().classes, 2);
    link(&other.path().join("dogs"), "wolves");
    let error = spec.open(&roots).err().expect("it leads out").to_string();
    assert!(error.contains("set/wolves is a link to ") && error.contains("outside of"), "{error}");
    std::fs::remove_file(data.path().join("set/wolves")).expect("it is there");
    link(&data.path().join("set"), "round");
    assert!(spec.open(&roots).is_err(), "it goes round in circles");
}
