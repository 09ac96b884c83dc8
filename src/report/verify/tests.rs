use super::super::fixture::{EXPERIMENT, Runs, Sketch};
use super::super::load::{LoadError, load};
use super::subjects::claims;
use super::*;
use crate::experiment::Plan;
use serde_json::json;

fn claim(fields: serde_json::Value) -> Claim {
    let mut whole = json!({ "says": "it works", "metric": "w1" });
    whole.as_object_mut().expect("a table").extend(fields.as_object().expect("a table").clone());
    serde_json::from_value(whole).expect("the test's own claim parses")
}

/// The verdict and reason of a claim over these last numbers, one a seed, and runs in other states.
fn ask(fields: serde_json::Value, numbers: &[f64], others: &[&str]) -> (Verdict, String) {
    let runs = Runs::new();
    for (seed, value) in (0..).zip(numbers) {
        runs.add(Sketch { seed, evals: &[("w1", &[9.0, *value])], ..Sketch::default() });
    }
    for (seed, state) in (100..).zip(others) {
        runs.add(Sketch { seed, state, evals: &[("w1", &[9.0])], ..Sketch::default() });
    }
    let runs = load(&[runs.path().to_owned()]).expect("there are runs");
    let answer = answer(&claim(fields), &runs);
    (answer.verdict, answer.reason)
}

/// Mean 0.0786667 and interval [0.0735398, 0.0837935]: see `stats`.
const SIX: [f64; 6] = [0.075, 0.080, 0.073, 0.086, 0.076, 0.082];

#[test]
fn a_mean_is_decided_by_its_whole_interval() {
    let cases = [
        (json!({ "at-most": 0.084 }), Verdict::Holds, "the whole interval [0.07354, 0.08379] is at most 0.084"),
        (json!({ "at-most": 0.08 }), Verdict::Undecided, "the interval [0.07354, 0.08379] contains 0.08"),
        (json!({ "at-most": 0.07 }), Verdict::Fails, "the whole interval [0.07354, 0.08379] is above 0.07"),
        (json!({ "at-least": 0.07 }), Verdict::Holds, "the whole interval [0.07354, 0.08379] is at least 0.07"),
        (json!({ "at-least": 0.08 }), Verdict::Undecided, "the interval [0.07354, 0.08379] contains 0.08"),
        (json!({ "at-least": 0.09 }), Verdict::Fails, "the whole interval [0.07354, 0.08379] is below 0.09"),
        (
            json!({ "at-least": 0.07, "at-most": 0.08 }),
            Verdict::Undecided,
            "the interval [0.07354, 0.08379] contains 0.08",
        ),
    ];
    for (fields, verdict, reason) in cases {
        assert_eq!(ask(fields, &SIX, &[]), (verdict, reason.to_owned()));
    }
}

#[test]
fn a_single_seed_is_decided_by_its_number() {
    let (verdict, reason) = ask(json!({ "at-most": 0.25 }), &[0.2], &[]);
    assert_eq!((verdict, reason.as_str()), (Verdict::Holds, "a single seed has no interval; its value is 0.2"));
    assert_eq!(ask(json!({ "at-most": 0.25 }), &[0.3], &[]).0, Verdict::Fails);
}

#[test]
fn a_mean_waits_for_every_run_and_has_none_over_a_diverged_seed() {
    let (verdict, reason) = ask(json!({ "at-most": 1 }), &SIX, &["interrupted", "queued"]);
    assert_eq!((verdict, reason.as_str()), (Verdict::Undecided, "2 of 8 runs are not done (1 queued, 1 interrupted)"));
    let (verdict, reason) = ask(json!({ "at-most": 1 }), &SIX, &["diverged"]);
    assert_eq!(
        (verdict, reason.as_str()),
        (Verdict::Undecided, "1 of 7 runs diverged, so there is no mean over all seeds")
    );
    assert_eq!(ask(json!({ "at-most": 1 }), &[0.1, f64::NAN], &[]).1, "a value is not finite");
}

#[test]
fn every_seed_is_asked_and_a_diverged_one_has_failed() {
    let every = |bound: f64| json!({ "at-most": bound, "over": "every" });
    assert_eq!(
        ask(every(0.09), &SIX, &[]),
        (Verdict::Holds, "6 of 6 seeds satisfy the claim, 6 are needed".to_owned())
    );
    assert_eq!(
        ask(every(0.085), &SIX, &["queued"]),
        (Verdict::Fails, "5 of 7 seeds satisfy the claim, 7 are needed: seed 3 has 0.086".to_owned())
    );
    assert_eq!(
        ask(every(4.05), &[4.050_012], &[]).1,
        "0 of 1 seeds satisfy the claim, 1 is needed: seed 0 has 4.050012",
        "a number that misses a bound by little does not read like it"
    );
    assert_eq!(
        ask(every(0.09), &SIX, &["diverged"]),
        (Verdict::Fails, "6 of 7 seeds satisfy the claim, 7 are needed: seed 100 diverged".to_owned())
    );
    assert_eq!(
        ask(every(0.09), &SIX, &["failed"]),
        (
            Verdict::Undecided,
            "6 of 7 seeds satisfy the claim, 7 are needed; 1 of 7 runs is not done (1 failed)".to_owned()
        )
    );
}

#[test]
fn a_share_may_be_decided_before_all_runs_are_done() {
    let share = |share: f64| json!({ "at-most": 0.081, "over": { "share": share } });
    // Four of the six are at most 0.081.
    assert_eq!(ask(share(0.5), &SIX, &["queued", "diverged"]).0, Verdict::Holds);
    assert_eq!(ask(share(0.6), &SIX, &["queued"]).0, Verdict::Undecided);
    assert_eq!(ask(share(0.75), &SIX, &["queued"]).0, Verdict::Fails);
    // 0.8 of ten seeds are eight of them, although ten times the 0.8 of binary floats is a little more.
    let ten: Vec<f64> = (0..10).map(|i| if i < 8 { 0.05 } else { 1.0 }).collect();
    assert_eq!(ask(share(0.8), &ten, &[]).0, Verdict::Holds);
}

#[test]
fn nothing_to_ask_is_undecided_with_the_reason() {
    let reason = |fields| ask(fields, &[0.1], &[]);
    assert_eq!(
        reason(json!({ "at-most": 1, "where": { "loss.adversarial": "hinge" } })),
        (Verdict::Undecided, "no run has loss.adversarial = hinge".to_owned())
    );
    assert_eq!(
        reason(json!({ "at-most": 1, "metric": "wl" })),
        (Verdict::Undecided, "1 of 1 runs does not measure `wl` (did you mean `w1`?)".to_owned())
    );
    assert_eq!(reason(json!({})), (Verdict::Undecided, "the claim has no bound".to_owned()));
    assert_eq!(reason(json!({ "at-most": 2, "metric": "d/loss" })).0, Verdict::Holds, "a scalar of metrics.csv");
}

/// Three runs that are done, whose last row of `eval.csv` has these fields after the step.
fn measured(row: &str) -> Vec<Run> {
    let runs = Runs::new();
    for seed in 0..3 {
        let path = runs.add(Sketch { seed, ..Sketch::default() });
        let path = path.strip_prefix(runs.path()).expect("lies below").display().to_string();
        let header = format!("step,metric,value,{}", crate::eval::PROTOCOL_COLUMNS.join(","));
        runs.write(&format!("{path}/eval.csv"), format!("{header}\n30,{row},{seed}\n"));
    }
    load(&[runs.path().to_owned()]).expect("there are runs")
}

#[test]
fn a_metric_that_is_undefined_is_undecided_with_the_recorded_reason() {
    let runs = measured("nearest,,,100,,samples,raw,values,undefined: nothing is held out");
    for over in ["mean", "every"] {
        let answer = answer(&claim(json!({ "metric": "nearest", "at-least": 0.9, "over": over })), &runs);
        assert_eq!(answer.verdict, Verdict::Undecided);
        let reason = "`nearest` is undefined in 3 of 3 runs (nothing is held out)";
        assert!(answer.reason.ends_with(reason), "{}", answer.reason);
        assert!(!answer.reason.contains("not done"), "the runs are done: {}", answer.reason);
    }
    let best = answer(&claim(json!({ "metric": "nearest", "at-least": 0.9, "at": "best" })), &runs);
    assert!(best.reason.contains("(nothing is held out)"), "{}", best.reason);
    // Another metric of the same runs is not measured at all.
    let typo = answer(&claim(json!({ "metric": "nearst", "at-least": 0.9 })), &runs);
    assert_eq!(typo.reason, "3 of 3 runs do not measure `nearst` (did you mean `nearest`?)");
}

/// Two losses on two data sets, two seeds each: hinge is better by 1 on the first and by 2 on the second.
fn two_by_two() -> Vec<Run> {
    let runs = Runs::new();
    for (data, gap) in [("a", 1.0), ("b", 2.0)] {
        for (loss, offset) in [("hinge", 0.0), ("vanilla", gap)] {
            let settings = format!("loss.adversarial = '{loss}'\ndata.set = '{data}'");
            for (seed, value) in (0..).zip([1.0, 1.001]) {
                let evals: &[(&str, &[f64])] = &[("w1", &[value + offset])];
                runs.add(Sketch { settings: &settings, seed, evals, ..Sketch::default() });
            }
        }
    }
    load(&[runs.path().to_owned()]).expect("there are runs")
}

#[test]
fn better_than_holds_configurations_against_their_like() {
    let runs = two_by_two();
    let fields = |by: f64, over: &str| {
        json!({
            "where": { "loss.adversarial": "hinge" }, "over": over,
            "better-than": { "where": { "loss.adversarial": "vanilla" }, "by": by },
        })
    };
    for over in ["mean", "every"] {
        let answer_by = |by| answer(&claim(fields(by, over)), &runs);
        assert_eq!(answer_by(1.5).verdict, Verdict::Holds, "{over}");
        assert_eq!(answer_by(2.5).verdict, Verdict::Fails, "{over}");
        let mut parts: Vec<_> = answer_by(2.5).parts.into_iter().map(|p| (p.configuration, p.verdict)).collect();
        parts.sort();
        assert_eq!(parts, [("set a".to_owned(), Verdict::Fails), ("set b".to_owned(), Verdict::Holds)], "{over}");
    }
    // The mean of vanilla on a is 2.0005, twice that of hinge less 0.0005: the interval of the difference decides.
    assert_eq!(answer(&claim(fields(2.0, "mean")), &runs).verdict, Verdict::Undecided);
}

#[test]
fn labels_of_the_grid_select_and_pair() {
    let runs = Runs::new();
    for (game, settings, value) in
        [("plain", "a = 1\nb = 2", 1.0), ("eager", "a = 3\nb = 4", 3.0), ("third", "a = 5\nb = 4", 2.0)]
    {
        for (seed, jitter) in (0..).zip([0.0, 0.01]) {
            let evals: &[(&str, &[f64])] = &[("w1", &[value + jitter])];
            runs.add(Sketch { settings, game, seed, evals, ..Sketch::default() });
        }
    }
    let runs = load(&[runs.path().to_owned()]).expect("there are runs");
    let ask = |fields| answer(&claim(fields), &runs);
    assert_eq!(ask(json!({ "at-most": 1.2, "where": { "game": "plain" } })).verdict, Verdict::Holds);
    let pair = json!({ "where": { "game": "plain" }, "better-than": { "where": { "game": "eager" }, "by": 2 } });
    assert_eq!(ask(pair).verdict, Verdict::Holds);
    let all = ask(json!({ "at-most": 1.2, "over": "every" }));
    let mut parts: Vec<_> = all.parts.into_iter().map(|p| (p.configuration, p.verdict)).collect();
    parts.sort();
    let fails = |label: &str| (label.to_owned(), Verdict::Fails);
    assert_eq!(parts, [fails("game eager"), ("game plain".to_owned(), Verdict::Holds), fails("game third")]);
}

#[test]
fn numbers_of_another_protocol_decide_nothing() {
    let runs = Runs::new();
    for (seed, n) in [(0, 100), (1, 200)] {
        runs.add(Sketch { seed, n, evals: &[("w1", &[0.1])], ..Sketch::default() });
    }
    let runs = load(&[runs.path().to_owned()]).expect("there are runs");
    let answer = answer(&claim(json!({ "at-most": 1 })), &runs);
    assert_eq!(answer.verdict, Verdict::Undecided);
    assert!(answer.reason.ends_with("these differ: n (100, 200)"), "{}", answer.reason);
}

/// A whole experiment of three seeds with its claims.
fn toy() -> String {
    EXPERIMENT.to_owned()
        + r#"
        [[claims]]
        says = "The spread is right."
        metric = "w1"
        at-most = 0.1
        paper = 0.08
        [[claims]]
        says = "No seed is lost."
        metric = "w1"
        at-most = 0.08
        over = "every"
        [[claims]]
        says = "Most seeds are near."
        metric = "w1"
        at-most = 0.08
        over = { share = 0.5 }
        "#
}

#[test]
fn a_file_finds_the_runs_that_it_asks_for() {
    let runs = Runs::new();
    runs.write("toy.toml", toy());
    let file = runs.path().join("toy.toml");
    let ask = || verify(&subjects(std::slice::from_ref(&file), runs.path()).expect("reads").0);
    let reasons = |v: &Verification| v.experiments[0].claims.iter().map(|c| c.reason.clone()).collect::<Vec<_>>();
    assert_eq!(reasons(&ask()), vec!["no run has started"; 3]);

    let plan = Plan::load(std::slice::from_ref(&file), &[], None).expect("a whole experiment").remove(0);
    for (cell, value) in plan.cells.iter().zip([0.07, 0.075]) {
        let seed = cell.experiment.seed;
        let path = runs.add(Sketch { seed, evals: &[("w1", &[value])], ..Sketch::default() });
        std::fs::rename(path, runs.path().join("toy").join(&cell.run)).expect("renames");
        runs.write(&format!("toy/{}/config.toml", cell.run), cell.document());
    }
    // A run of an earlier version of the file, which would break the claim.
    runs.add(Sketch { seed: 9, evals: &[("w1", &[7.0])], ..Sketch::default() });
    assert_eq!(
        reasons(&ask()),
        [
            "1 of 3 runs is not done (1 queued)",
            "2 of 3 seeds satisfy the claim, 3 are needed; 1 of 3 runs is not done (1 queued)",
            "2 of 3 seeds satisfy the claim, 2 are needed",
        ]
    );
    assert!(ask().experiments[0].notes[0].starts_with("ignored 1 run in "));
}

#[test]
fn an_answer_reads_well() {
    let runs = Runs::new();
    for (seed, value) in (0..).zip(SIX) {
        runs.add(Sketch { seed, evals: &[("w1", &[value])], ..Sketch::default() });
    }
    let document: toml::Table = toml::from_str(&toy()).expect("is TOML");
    let mut claims = claims(&document).expect("claims");
    claims.push(claim(json!({ "at-most": 1, "where": { "loss.adversarial": "hinge" } })));
    let runs = load(&[runs.path().to_owned()]).expect("there are runs");
    let subject = Subject { experiment: "toy".to_owned(), claims, runs, notes: Vec::new() };
    let verification = verify(&[subject]);
    assert!(!verification.all_hold());
    insta::assert_snapshot!(verification.text(100) + "\n" + &verification.markdown());
}

/// Two losses at three learning rates: w1 rises with the rate under hinge in each of three seeds, not under vanilla.
fn rates() -> Vec<Run> {
    let runs = Runs::new();
    for (loss, numbers) in [
        ("hinge", [[1.0, 2.0, 3.0], [1.1, 2.2, 2.1], [0.9, 2.5, 3.0]]),
        ("vanilla", [[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 3.0, 1.0]]),
    ] {
        for (seed, values) in (0..).zip(numbers) {
            for (lr, value) in [0.001, 0.01, 0.1].into_iter().zip(values) {
                let settings = format!("loss.adversarial = '{loss}'\noptimizer.lr = {lr}");
                runs.add(Sketch { settings: &settings, seed, evals: &[("w1", &[value])], ..Sketch::default() });
            }
        }
    }
    load(&[runs.path().to_owned()]).expect("there are runs")
}

#[test]
fn a_trend_is_the_rank_correlation_within_each_seed() {
    let runs = rates();
    let ask = |fields| answer(&claim(fields), &runs);
    let hinge = json!({ "loss.adversarial": "hinge" });
    // Spearman's ρ of the three seeds: 1, 0.5, 1. scipy.stats.t.interval(0.95, 2, loc=2.5/3, scale=sem) and
    // ttest_1samp([1, .5, 1], 0).pvalue.
    let rises = ask(json!({ "where": hinge, "rises-with": "optimizer.lr" }));
    assert_eq!(rises.verdict, Verdict::Holds, "{}", rises.reason);
    assert_eq!(rises.reason, "the whole interval [0.1162, 1] is above 0");
    assert!((rises.parts[0].p.expect("an interval decides") - 0.037749551350623724).abs() < 1e-9);
    let falls = ask(json!({ "where": hinge, "falls-with": "optimizer.lr" }));
    assert_eq!(
        (falls.verdict, falls.reason.as_str()),
        (Verdict::Fails, "no part of the interval [0.1162, 1] is below 0")
    );
    assert_eq!(ask(json!({ "where": hinge, "rises-with": "optimizer.lr", "over": "every" })).verdict, Verdict::Holds);
    let both = ask(json!({ "rises-with": "optimizer.lr", "over": { "share": 0.6 } }));
    let mut satisfied: Vec<usize> = both.parts.iter().map(|p| p.satisfied).collect();
    satisfied.sort_unstable();
    assert_eq!(satisfied, [1, 3], "a trend each loss");
    assert_eq!(both.verdict, Verdict::Fails);
    let nothing =
        ask(json!({ "where": { "optimizer.lr": 0.1, "loss.adversarial": "hinge" }, "rises-with": "optimizer.lr" }));
    assert_eq!(nothing.reason, "a trend needs runs at two or more values of the axis");
    assert_eq!(
        ask(json!({ "rises-with": "loss.adversarial" })).reason,
        "`loss.adversarial` is not a number in every cell"
    );
}

#[test]
fn several_claims_are_corrected_for_their_number() {
    let runs = Runs::new();
    for (seed, value) in (0..).zip(SIX) {
        runs.add(Sketch { seed, evals: &[("w1", &[value])], ..Sketch::default() });
    }
    let runs = load(&[runs.path().to_owned()]).expect("there are runs");
    let ask = |bounds: &[f64]| {
        let claims = bounds.iter().map(|bound| claim(json!({ "at-most": bound }))).collect();
        verify(&[Subject { experiment: "toy".to_owned(), claims, runs: runs.clone(), notes: Vec::new() }])
    };
    let verdicts = |v: &Verification| v.experiments[0].claims.iter().map(|c| c.verdict).collect::<Vec<_>>();
    // scipy.stats.ttest_1samp(SIX, 0.084).pvalue is 0.044: enough alone, not beside another one.
    assert_eq!(verdicts(&ask(&[0.084])), [Verdict::Holds]);
    let two = ask(&[0.084, 0.2]);
    assert_eq!(verdicts(&two), [Verdict::Holds, Verdict::Holds], "the weaker one comes last and is not multiplied");
    let three = ask(&[0.084, 0.2, 0.0838]);
    assert_eq!(verdicts(&three), [Verdict::Undecided, Verdict::Holds, Verdict::Undecided]);
    assert_eq!(
        three.experiments[0].claims[0].reason,
        "the whole interval [0.07354, 0.08379] is at most 0.084, but this is not significant after Holm's \
         correction for 3 tests (p = 0.04, corrected 0.09)"
    );
    assert!(three.text(100).contains("verdicts are corrected for 3 tests by Holm's method"));
    let json: serde_json::Value = serde_json::from_str(&three.json()).expect("is JSON");
    assert_eq!((json["correction"].as_str(), json["experiments"][0]["tests"].as_u64()), (Some("holm"), Some(3)));
    assert!(json["experiments"][0]["claims"][0]["parts"][0]["p_corrected"].is_number(), "{json}");
}

#[test]
fn a_folder_of_experiments_is_one_table() {
    let runs = Runs::new();
    for (experiment, value) in [("one", 0.5), ("two", 1.5)] {
        for (seed, jitter) in (0..).zip([0.0, 0.01, 0.02]) {
            runs.add(Sketch { experiment, seed, evals: &[("w1", &[value + jitter])], ..Sketch::default() });
        }
        let text = format!(
            "name = '{experiment}'\n[[claims]]\nsays = 'It is near.'\nmetric = 'w1'\nat-most = 1\npaper = 0.4\n"
        );
        runs.write(&format!("all/{experiment}/experiment.toml"), text);
        std::fs::rename(runs.path().join(experiment), runs.path().join("moved")).expect("renames");
        for run in std::fs::read_dir(runs.path().join("moved")).expect("lists").flatten() {
            std::fs::rename(run.path(), runs.path().join("all").join(experiment).join(run.file_name()))
                .expect("renames");
        }
        std::fs::remove_dir(runs.path().join("moved")).expect("is empty");
    }
    let read = |name: &str| subjects(&[runs.path().join(name)], runs.path());
    let (found, _) = read("all").expect("reads");
    let verification = verify(&found);
    insta::assert_snapshot!(verification.text(100) + "\n" + &verification.markdown());
    assert_eq!(read("all/one").expect("reads").0.len(), 1);
    assert!(matches!(read("all/one/nothing"), Err(VerifyError::Load(LoadError::Missing(_)))));

    runs.write("files/toy.toml", toy());
    runs.write("files/base/half.toml", "[schedule]\nsteps = 3");
    let (found, notes) = read("files").expect("reads");
    assert_eq!((found.len(), notes.len()), (1, 1));
    assert!(notes[0].contains("half.toml: not a complete experiment"), "{notes:?}");
    let text = verify(&[found.clone(), found].concat()).text(100);
    assert!(text.contains("note: no run has started: toy, toy"), "{text}");
    runs.write("empty/readme", "");
    assert!(matches!(read("empty"), Err(VerifyError::NoExperiment(_))));
}
