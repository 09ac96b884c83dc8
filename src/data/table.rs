//! Tables: rows of a CSV file as points, their columns brought to mean 0 and deviation 1 where wished.

use super::{DataError, DataInfo, DataRoots, Examples, Source, Split, example_at, reference_order};
use crate::base::{Array, Probability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Rows of a CSV file whose first line names the columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CsvSpec {
    /// The file.
    pub path: PathBuf,
    /// What stands between fields.
    #[serde(default = "CsvSpec::separator")]
    pub separator: char,
    /// The columns, which hold numbers; all but the label where the list is empty.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The column that holds labels; its values, sorted, are the classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether each column is brought to mean 0 and deviation 1 over the training rows.
    #[serde(default = "CsvSpec::standardize")]
    pub standardize: bool,
    /// What becomes of rows with an empty field.
    #[serde(default)]
    pub missing: Missing,
    /// The share of rows held out, the same for every run.
    #[serde(default = "CsvSpec::test_share")]
    pub test_share: Probability,
}
impl CsvSpec {
    fn separator() -> char {
        ','
    }
    fn standardize() -> bool {
        true
    }
    fn test_share() -> Probability {
        Probability::of(0.1)
    }
}

/// What becomes of rows with an empty field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// They are an error.
    #[default]
    Error,
    /// They are left out.
    Drop,
}

impl CsvSpec {
    /// What is known of the table, which is read for that.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn info(&self, roots: &DataRoots) -> Result<DataInfo, DataError> {
        Ok(self.open(roots)?.info)
    }

    /// The table in memory.
    ///
    /// # Errors
    /// If the file is missing or no such table, or a column is not there or holds no numbers.
    pub fn open(&self, roots: &DataRoots) -> Result<Table, DataError> {
        let path = roots.find(&self.path)?;
        let wrong = |problem: String| DataError::wrong(&path, problem);
        let separator = u8::try_from(self.separator)
            .map_err(|_| DataError::Spec(format!("csv: expected a separator of one byte, got `{}`", self.separator)))?;
        let text = crate::base::file::read_text(&path)?;
        let mut reader =
            csv::ReaderBuilder::new().delimiter(separator).trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| wrong(format!("is no table: {error}")))?.clone();
        let find = |name: &String| {
            header.iter().position(|other| other == name).ok_or_else(|| {
                let known: Vec<&str> = header.iter().collect();
                DataError::Spec(format!("csv: {} has no column `{name}`, only {}", path.display(), known.join(", ")))
            })
        };
        let label = self.label.as_ref().map(find).transpose()?;
        let columns: Vec<usize> = if self.columns.is_empty() {
            (0..header.len()).filter(|&column| Some(column) != label).collect()
        } else {
            self.columns.iter().map(find).collect::<Result<_, _>>()?
        };
        if columns.is_empty() {
            return Err(wrong("has no columns but the label".to_owned()));
        }
        let (mut values, mut names) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(|error| wrong(format!("is no table: {error}")))?;
            let line = record.position().map_or(0, csv::Position::line);
            let used = columns.iter().copied().chain(label);
            if let Some(empty) = used.into_iter().find(|&column| record[column].is_empty()) {
                if self.missing == Missing::Drop {
                    continue;
                }
                let name = &header[empty];
                return Err(wrong(format!(
                    "has nothing in column `{name}` of line {line}; `missing = \"drop\"` leaves such rows out"
                )));
            }
            for &column in &columns {
                let number = record[column].parse::<f64>().ok().filter(|number| number.is_finite());
                values.push(number.ok_or_else(|| {
                    let (name, found) = (&header[column], &record[column]);
                    wrong(format!("has no number in column `{name}` of line {line}: `{found}`; `columns` chooses columns, `label` the one of labels"))
                })?);
            }
            names.extend(label.map(|column| record[column].to_owned()));
        }
        let rows = values.len() / columns.len();
        // The rows held out are the first of one permutation.
        let held_out = (rows as f64 * self.test_share.get()).round() as usize;
        if rows == 0 || held_out >= rows {
            return Err(wrong(format!(
                "has {rows} rows of numbers, of which {held_out} are held out: none is left to learn from"
            )));
        }
        let order: Vec<usize> = reference_order(0, rows, rows).collect();
        let (test, train) = order.split_at(held_out);
        let mut train = train.to_vec();
        train.sort_unstable();
        if self.standardize {
            standardize(&mut values, columns.len(), &train);
        }
        let mut class_names = names.clone();
        sort_classes(&mut class_names);
        let labels: Vec<i64> = names
            .iter()
            .filter_map(|name| class_names.iter().position(|other| other == name))
            .map(|place| place as i64)
            .collect();
        let info = DataInfo {
            classes: class_names.len(),
            class_names,
            len: Some(train.len() as u64),
            ..DataInfo::new(vec![columns.len()])
        };
        Ok(Table { info, values: values.iter().map(|&v| v as f32).collect(), labels, train, test: test.to_vec() })
    }
}

/// Brings each column to mean 0 and deviation 1 over these rows; one that never changes, to 0.
fn standardize(values: &mut [f64], columns: usize, rows: &[usize]) {
    for column in 0..columns {
        let chosen = || rows.iter().map(|row| values[row * columns + column]);
        let mean = chosen().sum::<f64>() / rows.len() as f64;
        let deviation = (chosen().map(|v| (v - mean).powi(2)).sum::<f64>() / rows.len() as f64).sqrt();
        let deviation = if deviation > 0.0 { deviation } else { 1.0 };
        for value in values.iter_mut().skip(column).step_by(columns) {
            *value = (*value - mean) / deviation;
        }
    }
}

/// Distinct names in order: as numbers where all are.
fn sort_classes(names: &mut Vec<String>) {
    let number = |name: &String| name.parse::<f64>().ok();
    if names.iter().all(|name| number(name).is_some()) {
        names.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(std::cmp::Ordering::Equal));
    } else {
        names.sort();
    }
    names.dedup();
}

/// A table in memory.
#[derive(Debug)]
pub struct Table {
    info: DataInfo,
    values: Vec<f32>,
    labels: Vec<i64>,
    train: Vec<usize>,
    test: Vec<usize>,
}

impl Table {
    fn row(&self, i: usize) -> &[f32] {
        let columns = self.info.shape[0];
        &self.values[i * columns..(i + 1) * columns]
    }
}

impl Source for Table {
    fn info(&self) -> &DataInfo {
        &self.info
    }

    fn draw(&self, seed: u64, draw: u64, x: &mut [f32], labels: &mut [i64]) {
        let n = labels.len() as u64;
        for (j, (x, label)) in (0..).zip(x.chunks_exact_mut(self.info.shape[0]).zip(labels)) {
            let i = self.train[example_at(seed, draw * n + j, self.train.len() as u64)];
            x.copy_from_slice(self.row(i));
            if let Some(&known) = self.labels.get(i) {
                *label = known;
            }
        }
    }

    fn reference(&self, split: Split, seed: u64, n: usize) -> Examples {
        let part = if split == Split::Test && self.has_test() { &self.test } else { &self.train };
        let order: Vec<usize> = reference_order(seed, n, part.len()).map(|place| part[place]).collect();
        let data = order.iter().flat_map(|&i| self.row(i).iter().copied()).collect();
        let labels = order.iter().filter_map(|&i| self.labels.get(i).copied()).collect();
        Examples { x: Array::new(vec![order.len(), self.info.shape[0]], data), labels }
    }

    fn has_test(&self) -> bool {
        !self.test.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DataSpec;

    fn open(text: &str, options: &str) -> Result<Box<dyn Source>, (bool, String)> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("t.csv"), text).expect("a file of the test");
        let spec: DataSpec = toml::from_str(&format!("[csv]\npath = 't.csv'\n{options}")).expect("a spec of the test");
        let roots = DataRoots { folders: vec![folder.path().to_owned()] };
        spec.open(&roots).map_err(|error| {
            (error.is_spec_mistake(), error.to_string().replace(&format!("{}/", folder.path().display()), ""))
        })
    }

    fn mistake(text: &str, options: &str) -> (bool, String) {
        open(text, options).err().expect("a wrong table")
    }

    #[test]
    fn columns_and_labels_are_read_and_rows_held_out() {
        let rows: String =
            (0..20).map(|i| format!("{i};{};{}\n", 10 * i, if i % 2 == 0 { "even" } else { "odd" })).collect();
        let table = open(
            &format!("a;b;kind\n{rows}"),
            "separator = ';'\nlabel = 'kind'\nstandardize = false\ntest-share = 0.25",
        );
        let table = table.expect("a good table");
        let info = table.info();
        assert_eq!((info.shape.clone(), info.classes, info.len), (vec![2], 2, Some(15)));
        assert_eq!(info.class_names, ["even", "odd"]);
        let (train, test) = (table.reference(Split::Train, 3, 99), table.reference(Split::Test, 3, 99));
        assert_eq!((train.x.rows(), test.x.rows()), (15, 5));
        let mut seen = Vec::new();
        for examples in [&train, &test] {
            for (i, &label) in examples.labels.iter().enumerate() {
                let row = examples.x.row(i);
                assert_eq!((row[1], label), (10.0 * row[0], row[0] as i64 % 2));
                seen.push(row[0] as i64);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn standardized_columns_have_mean_0_and_deviation_1_over_the_training_rows() {
        let rows: String = (0..50).map(|i| format!("{},7\n", i * i)).collect();
        let table = open(&format!("a,constant\n{rows}"), "").expect("a good table");
        let train = table.reference(Split::Train, 0, 99).x;
        let column: Vec<f64> = (0..train.rows()).map(|i| f64::from(train.row(i)[0])).collect();
        let mean = column.iter().sum::<f64>() / 45.0;
        let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 45.0;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-6, "{mean} {variance}");
        assert!((0..45).all(|i| train.row(i)[1] == 0.0));
    }

    #[test]
    fn rows_with_nothing_in_them_are_an_error_or_left_out() {
        let text = "a,b\n1,2\n,3\n4,5\n6,7\n";
        let problem = "t.csv has nothing in column `a` of line 3; `missing = \"drop\"` leaves such rows out".to_owned();
        assert_eq!(mistake(text, "test-share = 0"), (false, problem));
        let table = open(text, "test-share = 0\nmissing = 'drop'").expect("a good table");
        assert_eq!((table.info().len, table.has_test()), (Some(3), false));
    }

    #[test]
    fn what_is_wrong_with_a_table_is_one_sentence() {
        let number =
            "t.csv has no number in column `b` of line 2: `two`; `columns` chooses columns, `label` the one of labels";
        assert_eq!(mistake("a,b\n1,two\n", ""), (false, number.to_owned()));
        let none = "t.csv has 0 rows of numbers, of which 0 are held out: none is left to learn from";
        assert_eq!(mistake("a,b\n", ""), (false, none.to_owned()));
        let (spec, text) = mistake("a,b\n1,2\n", "columns = ['c']");
        assert!(spec && text.ends_with("t.csv has no column `c`, only a, b"), "{text}");
        let (spec, text) = mistake("a,b\n1,2\n1,2,3\n", "");
        assert!(!spec && text.starts_with("t.csv is no table: "), "{text}");
    }
}
