// SPDX-License-Identifier: Apache-2.0
//! Cloud regions: in which zone each stands, and which one this machine is in.
//!
//! `cloud_regions.csv` beside this file holds 157 regions of AWS, Azure, Google Cloud
//! and OVH; its sources are in its first lines and in `NOTICE`. An instance's own
//! metadata are asked for only where the configuration switches that on: over plain
//! HTTP, at the link-local address that never leaves the machine's host, for a second.

use std::sync::LazyLock;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;

const REGIONS: &str = include_str!("cloud_regions.csv");
/// Where an instance finds its metadata.
pub const METADATA: &str = "http://169.254.169.254";
/// How long it may take.
const LONGEST: Duration = Duration::from_secs(1);
/// Most bytes of an answer: a region's name or a token.
const MOST: u64 = 1_024;

static TABLE: LazyLock<Vec<CloudRegion>> = LazyLock::new(|| {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(REGIONS.as_bytes());
    reader.deserialize().filter_map(Result::ok).collect()
});

/// A region of a cloud.
#[derive(Debug, Deserialize, PartialEq)]
pub struct CloudRegion {
    /// `aws`, `azure`, `gcp` or `ovh`.
    pub provider: String,
    /// The provider's own name of it.
    pub region: String,
    /// Where it is, in the provider's words.
    pub location: String,
    /// The zone of the shipped table.
    pub zone: String,
}

impl CloudRegion {
    /// Its name as the configuration has it.
    pub fn name(&self) -> String {
        format!("{}:{}", self.provider, self.region)
    }
}

/// All regions.
pub fn regions() -> &'static [CloudRegion] {
    &TABLE
}

/// The region of a name such as `aws:eu-west-3`, whatever its case.
///
/// # Errors
/// What would be right.
pub fn find(name: &str) -> Result<&'static CloudRegion, String> {
    let of = |region: &&CloudRegion| region.name().eq_ignore_ascii_case(name);
    TABLE.iter().find(of).ok_or_else(|| {
        format!(
            "`{name}` is no cloud region that is known: write PROVIDER:REGION such as \
             aws:eu-west-3, azure:westeurope, gcp:europe-west1 or ovh:fr-gravelines, or set `carbon.zone`"
        )
    })
}

/// The name of the region that this machine is in, by its own metadata at `base`;
/// `None`: no cloud's metadata answer there within a second.
pub async fn own_region(base: &str) -> Option<String> {
    // An error means that the process has a provider already.
    _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        Client::builder().no_proxy().redirect(Policy::none()).timeout(LONGEST).build().ok()?;
    let (aws, gcp, azure) = tokio::join!(
        tokio::time::timeout(LONGEST, aws(&client, base)),
        tokio::time::timeout(LONGEST, gcp(&client, base)),
        tokio::time::timeout(LONGEST, azure(&client, base)),
    );
    let (aws, gcp, azure) = (aws.ok().flatten(), gcp.ok().flatten(), azure.ok().flatten());
    // Google's and Azure's answer to nobody who has not said their own word; AWS's
    // interface is also that of other clouds.
    gcp.or(azure).or(aws)
}

async fn aws(client: &Client, base: &str) -> Option<String> {
    let token = client
        .put(format!("{base}/latest/api/token"))
        .header("X-aws-ec2-metadata-token-ttl-seconds", "60");
    let token = text(asked(token).await?).await?;
    let region = client
        .get(format!("{base}/latest/meta-data/placement/region"))
        .header("X-aws-ec2-metadata-token", token);
    named("aws", &text(asked(region).await?).await?)
}

async fn gcp(client: &Client, base: &str) -> Option<String> {
    let zone = client
        .get(format!("{base}/computeMetadata/v1/instance/zone"))
        .header("Metadata-Flavor", "Google");
    let response = asked(zone).await?;
    if response.headers().get("Metadata-Flavor").is_none_or(|flavor| flavor != "Google") {
        return None;
    }
    named("gcp", region_of_zone(&text(response).await?)?)
}

async fn azure(client: &Client, base: &str) -> Option<String> {
    let query = "api-version=2021-02-01&format=text";
    let location = client
        .get(format!("{base}/metadata/instance/compute/location?{query}"))
        .header("Metadata", "true");
    named("azure", &text(asked(location).await?).await?)
}

async fn asked(request: RequestBuilder) -> Option<Response> {
    let response = request.send().await.ok()?;
    (response.status() == 200).then_some(response)
}

async fn text(mut response: Response) -> Option<String> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.ok()? {
        body.extend_from_slice(&part);
        if body.len() as u64 > MOST {
            return None;
        }
    }
    Some(String::from_utf8(body).ok()?.trim().to_owned())
}

/// The region of Google's zone, such as `projects/123/zones/europe-west1-b`.
fn region_of_zone(path: &str) -> Option<&str> {
    let (_, zone) = path.rsplit_once("/zones/")?;
    zone.rsplit_once('-').map(|(region, _)| region)
}

/// A region's name as it may be shown; `None`: it looks like none.
fn named(provider: &str, region: &str) -> Option<String> {
    let fits = (1..=40).contains(&region.len())
        && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    fits.then(|| format!("{provider}:{}", region.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::table;

    #[test]
    fn every_region_stands_in_a_zone_of_the_table() {
        assert_eq!(regions().len(), 157);
        for region in regions() {
            assert!(table::lookup(&region.zone).is_some(), "{region:?}");
            assert_eq!(find(&region.name()), Ok(region));
        }
        assert_eq!(find("AWS:eu-west-3").unwrap().zone, "FR");
        assert_eq!(find("aws:us-west-1").unwrap().zone, "US-CA");
        for unknown in ["eu-west-3", "aws:", "aws:eu-west-33", "", "gcp:eu-west-3"] {
            assert!(find(unknown).unwrap_err().contains("is no cloud region"), "{unknown}");
        }
    }

    #[test]
    fn a_region_is_read_from_a_zone_and_is_a_plain_word() {
        assert_eq!(region_of_zone("projects/12/zones/us-central1-a"), Some("us-central1"));
        assert_eq!(region_of_zone("us-central1-a"), None);
        assert_eq!(named("aws", "eu-west-3"), Some("aws:eu-west-3".into()));
        for wrong in ["", "<html>", "a b", "eu_west", &"a".repeat(41)] {
            assert_eq!(named("aws", wrong), None, "{wrong}");
        }
    }
}
