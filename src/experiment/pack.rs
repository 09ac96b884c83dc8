//! Which cells may train as one model: those that differ only in numbers that enter arithmetic.

use super::spec::Experiment;
use crate::base::each::EACH;
use serde::ser::{self, Serialize, Serializer};
use std::fmt::{self, Display, Write as _};

/// The key of a cell's pack: cells with the same key may train together. They differ in their seed, in what they begin
/// with, and in the numbers of an [`Each`](crate::base::Each).
pub fn pack_key(experiment: &Experiment) -> String {
    // A new section does not compile before it is decided here what it is to a pack.
    let Experiment {
        name: _,
        paper: _,
        about: _,
        data_folders: _,
        seed: _,
        // What a run begins with is numbers, wherever they are from.
        start: _,
        data,
        algorithm,
        architecture,
        loss,
        optimizer,
        schedule,
        run,
        output,
        eval,
    } = experiment;
    let mut key = Key { text: String::with_capacity(2048), masked: false };
    (data, algorithm, architecture, loss, optimizer, schedule, run, output, eval)
        .serialize(&mut key)
        .expect("a spec is made of numbers, texts, lists and tables");
    blake3::hash(key.text.as_bytes()).to_hex()[..16].to_owned()
}

/// Serializes a spec to a text without the numbers below an [`EACH`]: equal for what may train together.
struct Key {
    text: String,
    masked: bool,
}

impl Key {
    fn put(&mut self, what: impl Display) -> fmt::Result {
        write!(self.text, "{what}")
    }

    fn number(&mut self, number: impl Display) -> fmt::Result {
        if self.masked { self.put("number") } else { self.put(number) }
    }

    fn open(&mut self, what: &str) -> Several<'_> {
        self.text.push_str(what);
        self.text.push('[');
        Several(self)
    }
}

/// Values in brackets, whatever they are of.
struct Several<'a>(&'a mut Key);

impl Several<'_> {
    fn value(&mut self, value: &(impl Serialize + ?Sized)) -> fmt::Result {
        value.serialize(&mut *self.0)?;
        self.0.put(",")
    }

    fn entry(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> fmt::Result {
        self.0.put(format_args!("{key}:"))?;
        self.value(value)
    }

    fn close(self) -> fmt::Result {
        self.0.put("]")
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),*) => { $(
        fn $method(self, number: $type) -> fmt::Result {
            self.number(number)
        }
    )* };
}

impl<'a> Serializer for &'a mut Key {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Several<'a>;
    type SerializeTuple = Several<'a>;
    type SerializeTupleStruct = Several<'a>;
    type SerializeTupleVariant = Several<'a>;
    type SerializeMap = Several<'a>;
    type SerializeStruct = Several<'a>;
    type SerializeStructVariant = Several<'a>;

    numbers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_f32: f32, serialize_f64: f64
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> fmt::Result {
        let outside = self.masked;
        self.masked |= name == EACH;
        value.serialize(&mut *self)?;
        self.masked = outside;
        Ok(())
    }

    fn serialize_bool(self, value: bool) -> fmt::Result {
        self.put(value)
    }

    fn serialize_char(self, value: char) -> fmt::Result {
        self.put(format_args!("{value:?}"))
    }

    fn serialize_str(self, value: &str) -> fmt::Result {
        self.put(format_args!("{value:?}"))
    }

    fn serialize_bytes(self, value: &[u8]) -> fmt::Result {
        self.put(format_args!("{value:?}"))
    }

    fn serialize_none(self) -> fmt::Result {
        self.put("none")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> fmt::Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> fmt::Result {
        self.put("none")
    }

    fn serialize_unit_struct(self, name: &'static str) -> fmt::Result {
        self.put(name)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> fmt::Result {
        self.put(format_args!("{variant:?}"))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> fmt::Result {
        let mut table = self.open("");
        table.entry(variant, value)?;
        table.close()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Several<'a>, fmt::Error> {
        Ok(self.open(""))
    }

    fn serialize_tuple(self, _: usize) -> Result<Several<'a>, fmt::Error> {
        Ok(self.open(""))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Several<'a>, fmt::Error> {
        Ok(self.open(""))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Several<'a>, fmt::Error> {
        Ok(self.open(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Several<'a>, fmt::Error> {
        Ok(self.open(""))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Several<'a>, fmt::Error> {
        Ok(self.open(""))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Several<'a>, fmt::Error> {
        Ok(self.open(variant))
    }
}

macro_rules! several {
    ($($trait:ident { $($method:ident($($argument:ident: $type:ty),*) => $does:ident;)* })*) => { $(
        impl ser::$trait for Several<'_> {
            type Ok = ();
            type Error = fmt::Error;

            $(fn $method<T: Serialize + ?Sized>(&mut self, $($argument: $type,)* value: &T) -> fmt::Result {
                self.$does($($argument,)* value)
            })*

            fn end(self) -> fmt::Result {
                self.close()
            }
        }
    )* };
}

several! {
    SerializeSeq { serialize_element() => value; }
    SerializeTuple { serialize_element() => value; }
    SerializeTupleStruct { serialize_field() => value; }
    SerializeTupleVariant { serialize_field() => value; }
    SerializeMap { serialize_key() => value; serialize_value() => value; }
    SerializeStruct { serialize_field(key: &'static str) => entry; }
    SerializeStructVariant { serialize_field(key: &'static str) => entry; }
}

#[cfg(test)]
mod tests {
    use super::super::Plan;
    use super::super::plan::tests::{TOY, plan};
    use super::*;
    use std::path::Path;

    /// The keys of the packs of a file's cells.
    fn keys(text: &str) -> Vec<String> {
        let cells = plan(&format!("{TOY}{text}")).expect("a plan").cells;
        assert!(cells.iter().all(|cell| cell.pack_key() == pack_key(&cell.experiment)));
        cells.iter().map(|cell| cell.pack_key().to_owned()).collect()
    }

    #[test]
    fn numbers_that_only_enter_arithmetic_share_a_pack() {
        for axis in [
            "\"optimizer.generator.adam.lr\" = [1e-3, 1e-4]",
            "\"optimizer.generator.adam.betas\" = [[0.5, 0.9], [0.0, 0.9]]",
            "\"loss.weight-clip\" = [0.1, 0.01]",
            "\"loss.label-smoothing\" = [1.0, 0.9]",
            "\"loss.penalties\" = [[{ r1 = { weight = 1 } }], [{ r1 = { weight = 10 } }]]",
            "\"data.gaussian.mean\" = [1, 4]",
            "\"data.ring.std\" = [0.1, 0.2]",
            "\"optimizer.discriminator.adam.schedule\" = [{ linear = { to = 0.1 } }, \"linear\"]",
        ] {
            let keys = keys(&format!("seeds = 2\n[grid]\n{axis}"));
            assert_eq!(keys.len(), 4, "{axis}");
            assert!(keys.iter().all(|k| *k == keys[0]), "{axis}");
        }
    }

    #[test]
    fn sizes_counts_kinds_and_switches_do_not() {
        for axis in [
            "\"schedule.batch\" = [8, 16]",
            "\"schedule.steps\" = [8, 16]",
            "\"data.ring.modes\" = [8, 16]",
            "\"loss.adversarial.least-squares.real\" = [1.0, 0.9]",
            "\"loss.penalties\" = [[{ dragan = { c = 1 } }], [\"dragan\"]]",
            "\"loss.adversarial\" = [\"vanilla\", \"hinge\"]",
            "\"architecture.generator.mlp.hidden\" = [[4], [8]]",
            "\"loss.penalties\" = [[], [{ r1 = { weight = 1 } }]]",
            "\"loss.penalties\" = [[{ gradient-penalty = {} }], [{ gradient-penalty = { one-sided = true } }]]",
            "\"optimizer.discriminator.adam.schedule\" = [\"cosine\", \"linear\"]",
            "v = [{ label = 'a', set = {} }, { label = 'b', set = { 'loss.weight-clip' = 0.1 } }]",
        ] {
            let keys = keys(&format!("[grid]\n{axis}"));
            assert_ne!(keys[0], keys[1], "{axis}");
        }
    }

    /// The packs of the cells of every shipped experiment, in the cells' order: `0*5 1*5` are two packs of five runs. A
    /// change here makes runs train together that did not, or the reverse.
    #[test]
    fn shipped_experiments_have_the_packs_on_record() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = String::new();
        for entry in walkdir::WalkDir::new(root.join("experiments")).sort_by_file_name() {
            let path = entry.expect("a readable folder").into_path();
            if path.extension().is_none_or(|ending| ending != "toml") {
                continue;
            }
            let plan = Plan::load(std::slice::from_ref(&path), &[], None).unwrap_or_else(|e| panic!("{e}")).remove(0);
            let mut known: Vec<&str> = Vec::new();
            let mut spans: Vec<(usize, usize)> = Vec::new();
            for cell in &plan.cells {
                let pack = known.iter().position(|key| *key == cell.pack_key()).unwrap_or(known.len());
                if pack == known.len() {
                    known.push(cell.pack_key());
                }
                match spans.last_mut() {
                    Some((last, count)) if *last == pack => *count += 1,
                    _ => spans.push((pack, 1)),
                }
            }
            let spans: Vec<String> = spans.iter().map(|(pack, count)| format!("{pack}*{count}")).collect();
            let name = path.strip_prefix(root.join("experiments")).expect("it lies there");
            writeln!(found, "{}: {}", name.display(), spans.join(" ")).expect("a text takes everything");
        }
        let stored = include_str!("../../tests/packs.txt");
        assert_eq!(found, stored, "what `tests/packs.txt` has\n{found}");
    }
}
