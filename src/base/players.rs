//! Who may play in an experiment: the names that `[architecture]` and `[optimizer]` know, in the one place that lists
//! them. It knows nothing of what they do.

/// A table of a TOML with one thing a player: a struct of optional fields, and an iterator over those that are there.
macro_rules! a_player_each {
    (
        $(#[$about:meta])*
        pub struct $table:ident { $($(#[$more:meta])* pub $field:ident: $type:ty,)* }
        $(#[$list_about:meta])*
        pub fn $list:ident() -> $thing:ty;
    ) => {
        $crate::base::players::a_player_each! {
            @named [$(#[$about])*] $table [$($(#[$more])* pub $field: $type,)*] [$(#[$list_about])*] $list $thing;
            /// Latent to data.
            generator,
            /// Data to one number; the critic of the Wasserstein losses. For BEGAN data to data.
            discriminator,
            /// Data to a number a class.
            classifier,
            /// InfoGAN's Q: what enters the last linear layer of the discriminator to what is read of the codes.
            recognition,
            /// Data to a code.
            encoder,
            /// A code to data.
            decoder,
            /// LAPGAN's generator of finer levels: a plane of noise and the level below, enlarged, to the band that is added.
            refiner,
            /// Its opponent: a finer level to one number.
            assessor,
            /// What came before to what comes next: a logit a level of each number of an image.
            predictor,
        }
    };
    (
        @named [$($about:tt)*] $table:ident [$($fields:tt)*] [$($list_about:tt)*] $list:ident $thing:ty;
        $(#[$role:meta] $player:ident,)*
    ) => {
        $($about)*
        pub struct $table {
            $($fields)*
            $(
                #[$role]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $player: Option<$thing>,
            )*
        }
        impl $table {
            $($list_about)*
            pub fn $list(&self) -> impl Iterator<Item = (&'static str, &$thing)> {
                let all = [$((stringify!($player), &self.$player)),*];
                all.into_iter().filter_map(|(player, thing)| Some((player, thing.as_ref()?)))
            }
        }
    };
}
pub(crate) use a_player_each;
