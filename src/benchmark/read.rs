// SPDX-License-Identifier: Apache-2.0
//! Reading a benchmark record of anybody's.
//!
//! Stricter than JSON: a field that stands twice is refused, since two readers could
//! take two different ones and the hash is of one of them. An error names the place and,
//! with it, line and column. Pure: bytes in, record out.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::record::{BENCHMARK, BenchmarkRecord};
use crate::record::{Version, VersionError};

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// With all fields, those of a later minor version too: the hash is of this.
    pub value: Value,
    /// What this program understands of it.
    pub record: BenchmarkRecord,
    /// Its form's.
    pub version: Version,
}

/// Why bytes are no benchmark record.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not JSON, or with a field twice.
    #[error("not JSON that can be relied on: {0}")]
    Json(serde_json::Error),
    /// JSON of something else.
    #[error("no benchmark record: it has no field `schema`")]
    NoSchema,
    /// Not of this form, or of another major version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// A benchmark record with a field missing or of another type.
    #[error("{at}: {what}")]
    Form {
        /// JSON pointer.
        at: String,
        /// What is wrong, with line and column.
        what: String,
    },
}

/// Reads a record.
///
/// # Errors
/// [`ReadError`].
pub fn read(bytes: &[u8]) -> Result<Read, ReadError> {
    let value = strict(bytes).map_err(ReadError::Json)?;
    let schema = value.get("schema").and_then(Value::as_str).ok_or(ReadError::NoSchema)?;
    let version = BENCHMARK.readable(schema)?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let record = serde_path_to_error::deserialize(&mut json).map_err(|error| ReadError::Form {
        at: pointer(error.path()),
        what: error.inner().to_string(),
    })?;
    Ok(Read { value, record, version })
}

/// A path as JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("/{index}")),
            Segment::Map { key } => text.push_str(&format!("/{}", escaped(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

/// A name as a part of a JSON pointer.
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// JSON without a field that stands twice.
fn strict(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(number.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = list.next_element_seed(Strict)? {
            all.push(one);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let value = fields.next_value_seed(Strict)?;
            if all.contains_key(&name) {
                let name = name.chars().take(60).collect::<String>();
                return Err(A::Error::custom(format!("the field {name:?} stands twice")));
            }
            all.insert(name, value);
        }
        Ok(all.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_serde_json_reads() {
        let text = r#"{"a": [1, -2, 0.5, 1e3, true, null, "x\u00e9"], "b": {"c": {}}}"#;
        let usual: Value = serde_json::from_str(text).unwrap();
        assert_eq!(strict(text.as_bytes()).unwrap(), usual);
    }

    #[test]
    fn a_field_that_stands_twice_is_refused_wherever_it_is() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"x": [{"a": 1, "b": 2, "a": 3}]}"#,
            r#"{"a": 1, "\u0061": 2}"#,
        ] {
            let error = strict(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(r#"the field "a" stands twice at line 1"#), "{error}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = "[".repeat(100_000);
        let huge = "1".to_owned() + &"0".repeat(400);
        for text in ["", "NaN", "{\"a\": NaN}", "[1e999]", "{} {}", "[1,]", &deep, &huge] {
            assert!(matches!(read(text.as_bytes()), Err(ReadError::Json(_))), "{text:.20}");
        }
        assert!(matches!(read(b"{\"a\": \"\xff\"}"), Err(ReadError::Json(_))));
        for text in ["7", "[]", "{}", r#"{"schema": 1}"#] {
            assert!(matches!(read(text.as_bytes()), Err(ReadError::NoSchema)), "{text}");
        }
    }

    #[test]
    fn another_version_is_refused_by_its_number_and_not_by_its_form() {
        let said = |schema: &str| {
            read(format!("{{\"schema\": \"{schema}\", \"all\": 1}}").as_bytes())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            said("aimeter-benchmark/2"),
            "the benchmark record is of version 2, this aimeter reads up to 1; update aimeter"
        );
        assert_eq!(
            said("aimeter-record/1"),
            "`aimeter-record/1` is no benchmark record schema; expected `aimeter-benchmark/1`"
        );
        assert!(said("aimeter-benchmark/1.7").contains("missing field"));
    }
}
