// SPDX-License-Identifier: Apache-2.0
//! The JSON Schemas of the records (draft 2020-12), from their declarations:
//! `docs/schema/aimeter-record-1.json`, `docs/schema/aimeter-benchmark-1.json`.
//!
//! They are of what aimeter writes: every field is there, and a field of a later minor
//! version is allowed. Units and meanings are the descriptions.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::Record;

/// The job record's schema as JSON, with a line's end.
pub fn text() -> String {
    text_of::<Record>()
}

/// The schema of any form as JSON, with a line's end.
pub fn text_of<T: JsonSchema>() -> String {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with_transform(RecursiveTransform(description_on_one_line));
    let generator = settings.into_generator();
    let schema = generator.into_root_schema_for::<T>();
    format!("{:#}\n", schema.as_value())
}

/// The comments' line breaks mean nothing.
fn description_on_one_line(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}
