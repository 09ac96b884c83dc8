//! The page of `gantlet report` in a real browser.

mod common;

use common::skip::{Need, require};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two games of two seeds each, with three evaluations and pictures at two steps.
fn write_runs(folder: &Path) {
    let write = |path: PathBuf, bytes: &[u8]| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let picture = |level| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let picture = image::RgbImage::from_pixel(20, 20, image::Rgb([level; 3]));
        picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    for (game, first) in [("plain", 3.0), ("eager", 2.0)] {
        for seed in 0..2 {
            let run = folder.join(format!("toy/{game}.seed-{seed}"));
            write(run.join("config.toml"), format!("name = \"toy\"\nseed = {seed}\ngame = \"{game}\"\n").as_bytes());
            let facts = serde_json::json!({
                "version": 1, "id": "0123abcd", "experiment": "toy", "run": "a", "state": "done", "step": 30, "steps": 30,
                "seconds": 1.5, "seed": seed, "device": "cpu", "varies": { "game": game, "seed": seed.to_string() },
                "versions": { "gantlet": "0.1.0" },
            });
            write(run.join("run.json"), facts.to_string().as_bytes());
            write(run.join("metrics.csv"), b"step,d/loss\n10,1\n20,2\n30,3\n");
            let mut evals = "step,metric,value,n,seed\n".to_owned();
            for step in [10, 20, 30] {
                evals += &format!("{step},w1,{},100,{seed}\n", first - f64::from(step) / 100.0 + f64::from(seed) * 0.5);
            }
            write(run.join("eval.csv"), evals.as_bytes());
            for step in [10_u8, 30] {
                write(run.join(format!("samples/{step:08}.png")), &picture(step));
            }
        }
    }
    write(folder.join("toy/experiment.toml"), b"name = \"toy\"\n");
}

/// What a person does and sees, each answer on its own; the title carries them out of the browser.
const VISIT: &str = r#"<script>
const said = [document.documentElement.dataset.ready];
const chart = document.querySelector("svg"), box = chart.getBoundingClientRect();
const point = (share) => chart.dispatchEvent(new PointerEvent("pointermove",
  { clientX: box.left + box.width * share, clientY: box.top + box.height / 2, bubbles: true }));
const reading = () => [...chart.parentElement.querySelectorAll("output")].map((o) => o.hidden ? "" : o.innerText.trim().replace(/\s+/g, " ")).join();
point(0.97);
said.push(reading());
document.querySelector(".legend button").click();
point(0.16);
said.push(reading());
said.push([...document.querySelectorAll("g.s0")].every((g) => getComputedStyle(g).display === "none"));
chart.dispatchEvent(new PointerEvent("pointerleave"));
said.push(reading());
const shown = () => [...document.querySelectorAll("figure[data-film] img:not([hidden])")].map((i) => i.dataset.step).join();
said.push(shown());
const slider = document.querySelector(".film input");
slider.value = "0";
slider.dispatchEvent(new Event("input"));
said.push(shown());
said.push(document.documentElement.scrollWidth <= document.documentElement.clientWidth ? "fits" : "too wide");
document.title = said.join(" | ");
</script>
</body>"#;

fn browser() -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let mut paths = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    require(Need::Chromium, paths.find(|path| path.is_file()))
}

#[test]
fn a_reader_hides_a_series_reads_a_value_and_moves_through_the_samples() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    write_runs(folder.path());
    let page = folder.path().join("page.html");
    let made = assert_cmd::Command::cargo_bin("gantlet")
        .unwrap()
        .current_dir(folder.path())
        .args(["report", "toy", "--out", "page.html"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let html = std::fs::read_to_string(&page).unwrap();
    std::fs::write(&page, html.replace("</body>", VISIT)).unwrap();
    for width in [1200, 500] {
        let output = Command::new(&browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg(format!("--window-size={width},900"))
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        let seen = String::from_utf8_lossy(&output.stdout);
        let title = seen.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap_or_default();
        assert_eq!(
            title,
            "yes | step 30 1.95 game eager 2.95 game plain | step 10 3.15 game plain | true |  | 30,30 | 10,10 | fits",
            "{} pixels wide: {}",
            width,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
