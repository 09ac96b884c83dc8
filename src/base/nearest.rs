//! Which of some known names a misspelled word may have been meant for.

/// The known names, the nearest to a word first, and whether the first is near enough to be what was meant.
///
/// A word that is itself one of the names is not misspelled: it is left out, and nothing else was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> (Vec<&'a str>, bool) {
    let plain = |s: &str| s.to_lowercase().replace(['_', ' '], "-");
    let (simple, mut is_known) = (plain(word), false);
    let mut names = Vec::new();
    for name in known {
        if name == word {
            is_known = true;
            continue;
        }
        let other = plain(name);
        let distance = strsim::osa_distance(&simple, &other);
        // "lsgan" for "least-squares" is beyond help, but "wgan" for "wgan-gp" is not.
        let within = simple.len() > 2 && (other.starts_with(&simple) || simple.starts_with(&other));
        names.push((distance, within, name));
    }
    names.sort_by_key(|&(distance, within, _)| (distance.saturating_sub(if within { 4 } else { 0 }), distance));
    let near = !is_known
        && names.first().is_some_and(|&(distance, within, name)| {
            within || distance <= (simple.chars().count().max(name.chars().count()) / 3).max(1)
        });
    (names.into_iter().map(|(_, _, name)| name).collect(), near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_nearest_name_comes_first_and_a_far_one_is_not_suggested() {
        assert_eq!(
            nearest("hing", ["vanilla", "hinge", "wasserstein"]),
            (vec!["hinge", "vanilla", "wasserstein"], true)
        );
        assert_eq!(nearest("non_saturating", ["vanilla", "non-saturating"]), (vec!["non-saturating", "vanilla"], true));
        assert!(!nearest("zzzzzz", ["vanilla", "hinge"]).1);
    }

    #[test]
    fn a_word_that_is_known_is_not_corrected() {
        assert_eq!(nearest("hinge", ["hinge", "hinges"]), (vec!["hinges"], false));
    }

    proptest! {
        #[test]
        fn no_word_is_corrected_to_itself(word in "[a-c]{0,3}", known in prop::collection::vec("[a-c]{0,3}", 0..6)) {
            let (names, near) = nearest(&word, known.iter().map(String::as_str));
            prop_assert!(!names.contains(&word.as_str()));
            prop_assert!(!(near && known.contains(&word)));
        }
    }
}
