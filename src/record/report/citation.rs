// SPDX-License-Identifier: Apache-2.0
//! How to cite this program: a BibTeX entry with the version.

/// The entry.
pub fn bibtex() -> String {
    let (version, description) = (env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"));
    format!(
        "@software{{aimeter,\n  author  = {{{{The aimeter authors}}}},\n  \
         title   = {{{{aimeter}}: {description}}},\n  version = {{{version}}},\n  \
         license = {{Apache-2.0}}\n}}\n"
    )
}
