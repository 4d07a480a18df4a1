// SPDX-License-Identifier: Apache-2.0
//! XML of strangers, as a tree.
//!
//! A document with a type declaration is refused before anything in it is read: no
//! entity is ever defined, none is fetched and none can grow. Depth and number of
//! elements have bounds. Names are without their prefix; attributes, comments and
//! processing instructions are passed over.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

/// Deepest nesting that is read.
const DEEPEST: usize = 32;
/// Most elements of a document: a week by quarters of an hour of 17 kinds of plant
/// has about 40 thousand.
const MOST_ELEMENTS: usize = 100_000;

/// An element.
#[derive(Debug, Default)]
pub struct Element {
    /// Its name without prefix.
    pub name: Box<str>,
    /// Its own text, without spaces around it.
    pub text: String,
    /// The elements in it, in their order.
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| *child.name == *name)
    }

    /// All children of this name.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Element> {
        self.children.iter().filter(move |child| *child.name == *name)
    }

    /// The text of the first child of this name.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }
}

/// The root of a whole document.
///
/// # Errors
/// What is wrong with it.
pub fn parse(body: &[u8]) -> Result<Element, String> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    let mut count = 0;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(tag) => {
                count += 1;
                enter(tag.local_name().into_inner(), &mut open, &root, count)?;
            }
            Event::Empty(tag) => {
                count += 1;
                enter(tag.local_name().into_inner(), &mut open, &root, count)?;
                leave(&mut open, &mut root);
            }
            // The reader has checked that the names match.
            Event::End(_) => leave(&mut open, &mut root),
            Event::Text(words) => add(&mut open, &words.xml10_content())?,
            Event::CData(words) => add(&mut open, &words.xml10_content())?,
            Event::GeneralRef(reference) => {
                let character = character(&reference)?;
                add(&mut open, character.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(_) => return Err("it declares a document type".into()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    if !open.is_empty() {
        return Err("it ends early".into());
    }
    root.ok_or_else(|| "it is empty".to_owned())
}

fn enter(
    name: &str,
    open: &mut Vec<Element>,
    root: &Option<Element>,
    count: usize,
) -> Result<(), String> {
    if root.is_some() {
        return Err("it has two roots".into());
    }
    if count > MOST_ELEMENTS || open.len() >= DEEPEST {
        return Err("it is larger or deeper than any honest one".into());
    }
    open.push(Element { name: name.into(), ..Element::default() });
    Ok(())
}

/// The innermost open element is whole.
fn leave(open: &mut Vec<Element>, root: &mut Option<Element>) {
    let Some(mut element) = open.pop() else { return };
    element.text = element.text.trim().to_owned();
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

fn add(open: &mut [Element], words: &str) -> Result<(), String> {
    match open.last_mut() {
        // Text between elements is space; it is dropped at the element's end.
        Some(element) => element.text.push_str(words),
        None if words.trim().is_empty() => {}
        None => return Err("it has text outside of its root".into()),
    }
    Ok(())
}

/// A character's number or one of the five names that XML itself has.
fn character(reference: &BytesRef<'_>) -> Result<char, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character);
    }
    match &**reference {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        other => Err(format!("it uses the entity `{other}`, which nothing defines")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_tree_of_names_and_texts() {
        let text = "\u{feff}<?xml version='1.0'?><!-- a --><n:a xmlns:n='x'><b> 1 &lt; &#50; </b>\
                    <c/><b><![CDATA[<3>]]></b></n:a>\n";
        let root = parse(text.as_bytes()).unwrap();
        assert_eq!(&*root.name, "a");
        assert_eq!(root.text_of("b"), Some("1 < 2"));
        assert_eq!(root.all("b").map(|b| b.text.as_str()).collect::<Vec<_>>(), ["1 < 2", "<3>"]);
        assert!(root.child("c").is_some_and(|c| c.children.is_empty() && c.text.is_empty()));
        assert!(root.child("d").is_none());
    }

    #[test]
    fn what_is_no_whole_document_is_an_error() {
        for text in ["", "a", "<a>", "<a></b>", "<a/><b/>", "<a/>b", "</a>", "<a>&b;</a>", "<a"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"<a>\xff</a>").is_err());
    }

    #[test]
    fn bombs_are_refused_before_they_grow() {
        let said = |text: &str| parse(text.as_bytes()).unwrap_err();
        let laughs = "<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;&b;&b;\">]><a>&c;</a>";
        assert_eq!(said(laughs), "it declares a document type");
        let outside = "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>";
        assert_eq!(said(outside), "it declares a document type");
        let (deep, wide) = ("<a>".repeat(1_000_000), format!("<a>{}</a>", "<b/>".repeat(500_000)));
        for text in [deep, wide] {
            assert_eq!(said(&text), "it is larger or deeper than any honest one");
        }
    }
}
