//! The public data sets, on a machine that has them.

mod common;

use common::skip::{Need, require};
use gantlet::data::interval::Interval;
use gantlet::data::known::DatasetSpec;
use gantlet::data::{DataRoots, DataSpec, Split};
use std::num::NonZeroU32;
use std::path::PathBuf;

fn roots() -> Option<DataRoots> {
    let folder = std::env::var_os("GANTLET_DATA").map(PathBuf::from).filter(|folder| folder.is_dir());
    require(Need::Data, folder).map(|folder| DataRoots { folders: vec![folder] })
}

/// Mean and deviation of the training pixels in [0, 1] as everybody quotes them: 0.1307 and 0.3081 for MNIST,
/// 0.2860 and 0.3530 for Fashion-MNIST.
#[test]
fn the_real_mnist_sets_have_their_known_sizes_and_moments() {
    let Some(roots) = roots() else { return };
    for (name, mean, std) in [("mnist", 0.1307, 0.3081), ("fashion-mnist", 0.2860, 0.3530)] {
        let spec = DataSpec::Dataset(DatasetSpec { normalize: Interval::of(0.0, 1.0), ..DatasetSpec::named(name) });
        let source = spec.open(&roots).expect(name);
        assert_eq!(spec.info(&roots).expect(name), *source.info());
        let info = source.info();
        assert_eq!((info.shape.clone(), info.classes, info.len), (vec![1, 28, 28], 10, Some(60_000)));
        assert!(source.has_test());
        let all = source.reference(Split::Train, 0, usize::MAX);
        let n = all.x.data.len() as f64;
        let got = all.x.data.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let squares = all.x.data.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / n;
        assert!((got - mean).abs() < 1e-4 && ((squares - got * got).sqrt() - std).abs() < 1e-4, "{name}: {got}");
        assert_eq!(source.reference(Split::Test, 0, usize::MAX).x.shape, [10_000, 1, 28, 28]);
    }
}

#[test]
fn the_real_cifar_records_are_three_channels_of_ten_named_classes() {
    let Some(roots) = roots() else { return };
    let source = DataSpec::Dataset(DatasetSpec::named("cifar10-first4000")).open(&roots).expect("it reads");
    let info = source.info();
    assert_eq!((info.shape.clone(), info.classes, info.len), (vec![3, 32, 32], 10, Some(4000)));
    assert_eq!(info.class_names[6], "frog");
    assert!(!source.has_test());
}

#[test]
fn the_real_tables_and_pictures_open() {
    let Some(roots) = roots() else { return };
    let open = |name: &str| DataSpec::Dataset(DatasetSpec::named(name)).open(&roots).expect(name);
    let iris = open("iris");
    assert_eq!((iris.info().shape.clone(), iris.info().classes), (vec![4], 3));
    assert_eq!(open("geyser").info().shape, [2]);
    assert_eq!(open("penguins").info().class_names, ["Adelie", "Chinstrap", "Gentoo"]);
    assert_eq!(open("winequality-red").info().shape, [11]);
    assert_eq!(open("winequality-white").info().shape, [11]);
    let facades = DataSpec::Dataset(DatasetSpec { size: NonZeroU32::new(32), ..DatasetSpec::named("facades") });
    assert_eq!(facades.info(&roots).expect("it lists").shape, [3, 32, 32]);
    let text = DataSpec::Dataset(DatasetSpec::named("tinyshakespeare")).info(&roots).expect_err("a text");
    assert!(text.is_spec_mistake());
}
