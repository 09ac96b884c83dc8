use super::super::cell::{LONGEST, run_name};
use super::*;
use crate::experiment::Style;
use proptest::prelude::*;

/// A cell without a grid; keys of the top and sections may follow.
pub(in crate::experiment) const TOY: &str = r#"
name = "toy"
data.gaussian = {}
algorithm.gan.latent = { normal = { dim = 2 } }
architecture = { generator = { mlp = { hidden = [4] } }, discriminator = { mlp = { hidden = [4] } } }
loss.adversarial = "vanilla"
optimizer = { generator = { adam = {} }, discriminator = { adam = { lr = 2e-4 } } }
schedule = { steps = 20, batch = 8 }
eval.metrics = ["mean"]
"#;

pub(in crate::experiment) fn plan(text: &str) -> Result<Plan, Diagnostics> {
    Plan::of_text(Path::new("toy.toml"), text, None)
}

fn wrong(more: &str) -> String {
    plan(&format!("{TOY}{more}")).expect_err("a mistake").to_string()
}

#[test]
fn runs_are_named_by_what_varies_the_seed_and_the_id() {
    let plan = plan(&format!(
        "{TOY}seeds = [3, 5]\n[grid]\n\"loss.adversarial\" = [\"hinge\", {{ least-squares = {{ real = 0.9 }} }}]\n\"optimizer.generator.adam.lr\" = [2e-4]\n\"optimizer.discriminator.adam.lr\" = [-0.0]\n"
    ))
    .expect("a plan");
    let names: Vec<&str> = plan.cells.iter().map(|c| c.run.rsplit_once('.').expect("an id").0).collect();
    let rest = "optimizer-generator-adam-lr-2e-4.optimizer-discriminator-adam-lr--0.0";
    assert_eq!(
        names,
        [
            format!("adversarial-hinge.{rest}.seed-3"),
            format!("adversarial-hinge.{rest}.seed-5"),
            format!("adversarial-least-squares-real-0.9.{rest}.seed-3")[..LONGEST.min(111)].to_owned(),
            format!("adversarial-least-squares-real-0.9.{rest}.seed-5"),
        ]
    );
    for cell in &plan.cells {
        assert!(cell.run.ends_with(&cell.id[..8]) && cell.run.len() <= LONGEST, "{}", cell.run);
    }
}

#[test]
fn a_name_is_cut_to_what_a_folder_takes_but_keeps_its_end() {
    let name = run_name(&"x".repeat(300), 12, "0123abcd");
    assert_eq!(name.len(), LONGEST);
    assert!(name.ends_with("x.seed-12.0123abcd"));
}

#[test]
fn a_resolved_cell_and_a_merged_document_give_the_same_cells_again() {
    let text = format!(
        "{TOY}seeds = 2\n[grid]\n\"loss.adversarial\" = [\"hinge\", \"least-squares\"]\nv = [{{ label = 'a', set = {{ 'schedule.steps' = 5 }} }}]\n[[claims]]\nsays = 's'\nmetric = 'mean'\nwhere = {{ 'loss.adversarial' = 'hinge', v = 'a' }}\nat-most = 1\n"
    );
    let first = plan(&text).expect("a plan");
    assert_eq!(first.cells.len(), 4);
    let again =
        plan(&first.document_text).unwrap_or_else(|d| panic!("{}\n{}", first.document_text, d.render(Style::Plain)));
    assert_eq!(again.document_text, first.document_text);
    for (a, b) in first.cells.iter().zip(&again.cells) {
        assert_eq!((&a.id, &a.run, &a.experiment), (&b.id, &b.run, &b.experiment));
        let alone = Plan::of_run_config(&a.document())
            .unwrap_or_else(|d| panic!("{}\n{}", a.document(), d.render(Style::Plain)));
        assert_eq!((&alone.id, &alone.experiment), (&a.id, &a.experiment));
    }
    assert!(first.cells[0].document().contains("metrics-every = 10"), "defaults are written out");
}

#[test]
fn the_id_sees_every_value_but_not_names_order_or_spelling() {
    let id = |text: &str| plan(text).expect("a plan").cells[0].id.clone();
    let base = id(TOY);
    assert_eq!(id(&TOY.replace("2e-4", "0.0002")), base);
    assert_eq!(id(&TOY.replace("name = \"toy\"", "name = \"other\"\npaper = \"p\"\nabout = \"x\"")), base);
    assert_eq!(id(&TOY.replace("{ adam = {} }", "\"adam\"")), base);
    assert_eq!(id(&TOY.replace("steps = 20, batch = 8", "batch = 8, steps = 20, generator-steps = 1")), base);
    assert_ne!(id(&TOY.replace("2e-4", "3e-4")), base);
    assert_ne!(id(&format!("{TOY}seed = 1")), base);
    assert_ne!(id(&format!("{TOY}output.keep = 9")), base);
}

#[test]
fn mistakes_of_all_cells_come_at_once_each_one_time_with_their_count() {
    let text = wrong("[grid]\n\"schedule.batch\" = [8, -1]\n\"loss.adversarial\" = [\"hinge\", \"hing\"]\n");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "toy.toml:11:24: expected a whole number of 0 or more, got -1",
            "toy.toml:12:32: `adversarial` has no kind `hing`"
        ]
    );
    let all = plan(&format!("{TOY}[grid]\n\"schedule.batch\" = [8, -1]\n")).expect_err("wrong");
    assert_eq!(all.0[0].help.as_deref(), Some("in 1 of 2 cells of the grid"));
    let all = plan(&format!("{}[grid]\n\"schedule.batch\" = [8, 9]\n", TOY.replace("steps = 20", "steps = 0")))
        .expect_err("wrong");
    assert_eq!(all.0[0].help, None, "{all}");
}

#[test]
fn cells_that_are_the_same_and_sets_without_effect_are_mistakes() {
    assert!(
        wrong("[grid]\n\"optimizer.generator.adam.lr\" = [1e-3, 0.001]").contains("two cells of the grid are the same")
    );
    let text =
        format!("{TOY}[grid]\nv = [{{ label = 'a', set = {{ 'optimizer.generator' = {{ sgd = {{ lr = 0.1 }} }} }} }}]");
    let set = "optimizer.generator.adam.lr=1e-3".to_owned();
    let document = file::parse(Path::new("toy.toml"), &text, &[set]).expect("reads");
    let wrong = Plan::of(document, None).expect_err("no effect").to_string();
    assert_eq!(wrong, "--set:1:1: `optimizer.generator.adam.lr` is set, and the grid sets it again in every cell");
}

#[test]
fn a_narrowed_grid_drops_the_claims_that_it_says_nothing_of() {
    let text = format!(
        "{TOY}[grid]\n\"loss.adversarial\" = [\"hinge\", \"vanilla\"]\n[[claims]]\nsays = 's'\nmetric = 'mean'\nwhere = {{ 'loss.adversarial' = 'hinge' }}\nat-most = 1\n"
    );
    assert_eq!(plan(&text).expect("a plan").claims.len(), 1);
    let document = file::parse(Path::new("toy.toml"), &text, &["loss.adversarial=vanilla".to_owned()]).expect("reads");
    let narrowed = Plan::of(document, None).expect("a plan");
    assert_eq!((narrowed.cells.len(), narrowed.claims.len()), (1, 0));
    assert!(plan(&narrowed.document_text).is_ok());
}

#[test]
fn headers_give_facts_and_their_problems_find_their_key() {
    let headers = Headers::new(crate::data::DataRoots::default());
    let read = |text: &str| Plan::of_text(Path::new("toy.toml"), text, Some(&headers));
    let text =
        TOY.replace("discriminator = { mlp = { hidden = [4] } }", "discriminator = { layers = [{ linear = 2 }] }");
    let text = format!(
        "{text}[grid]\n\"architecture.generator\" = [{{ mlp = {{ hidden = [4] }} }}, {{ layers = [{{ linear = 3 }}] }}]"
    );
    let wrong = read(&text).expect_err("shapes do not fit").to_string();
    assert!(wrong.starts_with("toy.toml:5:") && wrong.contains("toy.toml:11:"), "{wrong}");
    let facts = read(TOY).expect("a plan").cells[0].facts.clone();
    let data = facts.data.as_ref().expect("drawn");
    assert_eq!((data.examples, data.shape.as_slice(), data.classes), (None, &[1][..], 0));
    assert_eq!(facts.networks.iter().map(|network| network.total).collect::<Vec<_>>(), [17, 13]);
}

#[test]
fn the_worker_reads_a_configuration_as_the_user_does() {
    let cell = &plan(TOY).expect("a plan").cells[0];
    let mut state = RunState::queued("toy", "run", &cell.id, 0, 20, Vec::new());
    assert_eq!(of_run(&cell.document(), &state).as_ref(), Ok(&cell.experiment));
    // A plain TOML reader takes a batch of 0; it names no key where one is wrong.
    let other = cell.document().replace("batch = 8", "batch = 0");
    assert_eq!(of_run(&other, &state), Err("config.toml:30:9: expected 1 or more, got 0".to_owned()));
    state.files.insert("config.toml".to_owned(), crate::record::Seal::of(b"another"));
    assert!(of_run(&cell.document(), &state).is_ok(), "the id is the same");
    let other = cell.document().replace("batch = 8", "batch = 9");
    assert!(of_run(&other, &state).expect_err("another").ends_with("the run began with"));
}

#[test]
fn checks_that_need_two_values_say_both() {
    let one = |from: &str, to: &str| plan(&TOY.replace(from, to)).expect_err("wrong").to_string();
    assert!(one("batch = 8", "batch = 0").ends_with("expected 1 or more, got 0"));
    assert!(
        one(", discriminator = { mlp = { hidden = [4] } }", "")
            .ends_with("`gan` needs a network for its discriminator")
    );
    assert!(one("{ adam = {} }", "{ adam = { betas = [0.5, 1] } }").ends_with("expected a number below 1, got 1"));
    assert!(
        one("{ adam = {} }", "{ adam = { warm-up = 21 } }").ends_with("the warm-up takes 21 steps, and there are 20")
    );
    assert!(
        one("loss.adversarial = \"vanilla\"", "loss = { adversarial = \"hinge\", label-smoothing = 0.9 }")
            .contains("label smoothing needs a loss with labels")
    );
    assert!(one("name = \"toy\"", "name = \"a/b\"").contains("cannot name a folder"));
    assert!(wrong("output.samples = 0\noutput.keep = 0").contains("expected 1 or more"));
}

#[test]
fn claims_are_held_against_the_grid() {
    let claim = |text: &str| {
        wrong(&format!("[grid]\n\"loss.adversarial\" = [\"hinge\", \"vanilla\"]\n[[claims]]\nsays = 's'\n{text}"))
    };
    assert!(claim("metric = 'mean'").contains("a claim says what it expects"));
    assert!(claim("metric = 'mean'\nat-most = 1\nat-least = 0").contains("has `at-most`, `at-least`"));
    assert!(claim("metric = 'men'\nat-most = 1").contains("`eval.metrics` has no `men`"));
    assert!(
        claim("metric = 'd/loss'\nat-most = 1\nwhere = { 'loss.adversarail' = 'hinge' }")
            .contains("no cell has a key `loss.adversarail`")
    );
    assert!(
        claim("metric = 'd/loss'\nat-most = 1\nwhere = { 'loss.adversarial' = 'hing' }")
            .contains("no cell has this value of `loss.adversarial`")
    );
    assert!(
        claim("metric = 'd/loss'\nat-most = 1\nover = { share = 1.5 }")
            .contains("expected a number from 0 to 1, got 1.5")
    );
}

#[test]
#[ignore = "a measurement: run it alone, in release"]
fn a_thousand_cells_take_under_thirty_milliseconds() {
    let list = |n: usize| (1..=n).map(|i| format!("{}e-5", i)).collect::<Vec<_>>().join(", ");
    let text = format!(
        "{TOY}[grid]\n\"optimizer.generator.adam.lr\" = [{}]\n\"optimizer.discriminator.adam.lr\" = [{}]\n\"schedule.batch\" = [{}]",
        list(10),
        list(10),
        (8..18).map(|i| i.to_string()).collect::<Vec<_>>().join(", ")
    );
    let best = |work: &dyn Fn()| {
        let once = |_| {
            let start = std::time::Instant::now();
            work();
            start.elapsed()
        };
        (0..20).map(once).min().expect("it ran")
    };
    let cells = plan(&text).expect("a plan").cells;
    let all = best(&|| assert_eq!(plan(&text).expect("a plan").cells.len(), 1000));
    let documents = best(&|| cells.iter().for_each(|cell| drop(cell.document())));
    assert!(all.as_millis() < 30, "{all:?} for the cells; {documents:?} for their documents");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cells_are_as_many_as_the_product_and_their_ids_unique(a in 1u32..4, b in 1u32..4, seeds in 1u32..4) {
        let text = format!("{TOY}seeds = {seeds}\n[grid]\n'schedule.batch' = {:?}\n'schedule.steps' = {:?}", (1..=a).collect::<Vec<_>>(), (1..=b).collect::<Vec<_>>());
        let plan = plan(&text).map_err(|d| TestCaseError::fail(d.to_string()))?;
        let ids: HashSet<_> = plan.cells.iter().map(|c| &c.id).collect();
        let runs: HashSet<_> = plan.cells.iter().map(|c| &c.run).collect();
        prop_assert_eq!(plan.cells.len(), (a * b * seeds) as usize);
        prop_assert_eq!((ids.len(), runs.len()), (plan.cells.len(), plan.cells.len()));
    }

    #[test]
    fn the_id_does_not_depend_on_the_order_of_keys(order in Just((0..TOY.trim().lines().count()).collect::<Vec<_>>()).prop_shuffle()) {
        let lines: Vec<&str> = TOY.trim().lines().collect();
        let text: String = order.iter().map(|&i| format!("{}\n", lines[i])).collect();
        prop_assert_eq!(&plan(&text).expect("a plan").cells[0].id, &plan(TOY).expect("a plan").cells[0].id);
    }
}
