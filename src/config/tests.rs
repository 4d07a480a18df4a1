// SPDX-License-Identifier: Apache-2.0
//! Tests of the merge: which source wins, and what each mistake says.

use super::keys::Key;
use super::*;
use crate::grid::feeds::Signal;
use crate::grid::secret::SecretSource;

struct Case {
    folder: tempfile::TempDir,
    environment: Vec<(&'static str, &'static str)>,
    flags: Vec<(&'static str, &'static str, &'static str)>,
    text: &'static str,
}

impl Case {
    fn new(text: &'static str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        Case { folder, environment: Vec::new(), flags: Vec::new(), text }
    }

    fn resolve(&self) -> Result<Options, ConfigError> {
        let path = self.folder.path().join("aimeter.toml");
        std::fs::write(&path, self.text).unwrap();
        let get = |name: &str| {
            self.environment.iter().find(|(key, _)| *key == name).map(|(_, v)| v.to_string())
        };
        let flag = |(section, name, value): &(&str, &str, &str)| {
            (keys::position(section, name).unwrap(), vec![value.to_string()])
        };
        Options::resolve(&Sources {
            flags: self.flags.iter().map(flag).collect(),
            environment: &get,
            file: FileChoice::Named(path),
            root: false,
        })
    }

    fn message(&self) -> String {
        let folder = format!("{}/", self.folder.path().display());
        self.resolve().unwrap_err().to_string().replace(&folder, "")
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let mut case = Case::new("[sensors]\nperiod = \"2s\"\n");
    let options = case.resolve().unwrap();
    assert_eq!(options.period, Duration::from_secs(2));
    let path = case.folder.path().join("aimeter.toml");
    assert_eq!(options.origin("sensors", "period"), Origin::File(path, 2));

    case.environment.push(("AIMETER_PERIOD", "3s"));
    let options = case.resolve().unwrap();
    assert_eq!(options.period, Duration::from_secs(3));
    assert_eq!(options.origin("sensors", "period"), Origin::Environment("AIMETER_PERIOD"));

    case.flags.push(("sensors", "period", "4s"));
    let options = case.resolve().unwrap();
    assert_eq!(options.period, Duration::from_secs(4));
    assert_eq!(options.origin("sensors", "period"), Origin::Flag("period".into()));
    assert_eq!(options.origin("log", "level"), Origin::Default);
}

#[test]
fn an_empty_variable_is_unset() {
    let mut case = Case::new("");
    case.environment.push(("AIMETER_PERIOD", ""));
    assert_eq!(case.resolve().unwrap().origin("sensors", "period"), Origin::Default);
}

#[test]
fn a_wrong_value_names_its_place() {
    let mut case = Case::new("\n[sensors]\nperiod = \"1h\"\n");
    assert_eq!(
        case.message(),
        "aimeter.toml:3: sensors.period: `1h` is out of range: from 100ms to 10s"
    );
    case.text = "";
    case.environment.push(("AIMETER_LISTEN", "localhost"));
    assert_eq!(
        case.message(),
        "environment variable AIMETER_LISTEN: `localhost` is no address: write IP:PORT, such as \
         127.0.0.1:10077 or [::1]:0, unix:PATH, or systemd"
    );
    case.environment.clear();
    case.flags.push(("carbon", "pue", "0.5"));
    assert_eq!(case.message(), "--pue: `0.5` is no PUE: write a factor from 1 to 10, such as 1.2");
}

#[test]
fn a_named_file_must_be_there() {
    let sources = Sources {
        flags: Vec::new(),
        environment: &|_| None,
        file: FileChoice::Named("/nonexistent/aimeter.toml".into()),
        root: true,
    };
    let error = Options::resolve(&sources).unwrap_err();
    assert!(error.is_of_file());
    assert!(
        error.to_string().starts_with("cannot read the configuration /nonexistent/aimeter.toml")
    );
}

#[test]
fn the_defaults_of_paths_follow_the_user() {
    let get = |name: &str| match name {
        "XDG_STATE_HOME" => Some("/home/a/.state".into()),
        "XDG_RUNTIME_DIR" => Some("/run/user/7".into()),
        _ => None,
    };
    let mut sources =
        Sources { flags: Vec::new(), environment: &get, file: FileChoice::None, root: false };
    let user = Options::resolve(&sources).unwrap();
    assert_eq!(user.state_dir, Path::new("/home/a/.state/aimeter"));
    assert_eq!(user.socket, Path::new("/run/user/7/aimeter/aimeter.sock"));
    assert_eq!(user.client_sockets(), [Path::new(SYSTEM_SOCKET), &user.socket]);
    sources.root = true;
    let root = Options::resolve(&sources).unwrap();
    assert_eq!(root.state_dir, Path::new(SYSTEM_STATE_DIR));
    assert_eq!(root.socket, Path::new(SYSTEM_SOCKET));
    assert_eq!(root.client_sockets(), [Path::new(SYSTEM_SOCKET)]);
}

#[test]
fn a_service_of_our_own_uses_the_folders_that_systemd_made_for_it() {
    let resolve = |name: &'static str| {
        let get = move |variable: &str| match variable {
            "STATE_DIRECTORY" => Some(format!("/srv/state/{name}")),
            "RUNTIME_DIRECTORY" => Some(format!("/srv/run/{name}")),
            "HOME" => Some("/home/a".into()),
            _ => None,
        };
        let environment = &get;
        let file = FileChoice::None;
        Options::resolve(&Sources { flags: Vec::new(), environment, file, root: false }).unwrap()
    };
    let own = resolve("aimeter");
    assert_eq!(own.state_dir, Path::new("/srv/state/aimeter"));
    assert_eq!(own.socket, Path::new("/srv/run/aimeter/aimeter.sock"));
    // `aimeter run` within another service.
    let other = resolve("other");
    assert_eq!(other.state_dir, Path::new("/home/a/.local/state/aimeter"));
    assert_eq!(other.client_sockets(), [Path::new(SYSTEM_SOCKET)]);
}

#[test]
fn every_key_can_be_set_from_its_own_example() {
    for (place, key) in KEYS.iter().enumerate() {
        let partner = match key.name {
            "pue_token_file" => "pue_url = 'https://example.org'\n",
            "market_based_grams_per_kwh" => "market_based_source = 'a contract'\n",
            "market_based_source" => "market_based_grams_per_kwh = 0\n",
            "price_per_kwh" => "currency = 'EUR'\n",
            "currency" => "price_per_kwh = 0.3\n",
            _ => "",
        };
        let text = format!("[{}]\n{partner}{} = {}\n", key.section, key.name, key.default);
        let mut case = Case::new("");
        case.text = Box::leak(text.into_boxed_str());
        let options = case.resolve().unwrap_or_else(|error| panic!("{}: {error}", key.path()));
        assert_ne!(options.origins[place], Origin::Default, "{}", key.path());
    }
}

#[test]
fn what_needs_a_restart_is_what_the_table_says() {
    let other = "[daemon]\nstate_dir = '/x'\nsocket = '/x/s'\nsocket_group = 'g'\nlisten = []\n\
        web_config_file = '/x'\n\
        [sensors]\nperiod = '2s'\nsysfs = '/x'\nprocfs = '/x'\nnvml_library = '/x'\n\
        [attribution]\nidle = 'reserved'\n[ledger]\ninterval = '1min'\nkeep_finished = '1min'\n\
        [carbon]\nzone = 'DE'\npue = 1.5\n[log]\nlevel = 'debug'\n";
    let changed =
        Case::new(other).resolve().unwrap().needs_restart(&Case::new("").resolve().unwrap());
    let said: Vec<String> = KEYS.iter().filter(|key| key.restart).map(Key::path).collect();
    assert_eq!(changed, said);
}

#[test]
fn a_reload_changes_all_but_what_needs_a_restart() {
    let earlier = Case::new("").resolve().unwrap();
    let other = Case::new("[daemon]\nlisten = []\n[sensors]\nsysfs = '/x'\nperiod = '2s'\n");
    let new = earlier.reloaded(other.resolve().unwrap());
    assert_eq!(new.needs_restart(&earlier), Vec::<String>::new());
    assert_eq!(new.period, Duration::from_secs(2));
}

#[test]
fn what_of_carbon_goes_together_is_asked_for_and_what_cannot_be_is_refused() {
    let check = |text: &'static str, what: &str| {
        let error = Case::new(text).resolve().unwrap_err().to_string();
        assert!(error.contains(what), "{text}: {error}");
    };
    check(
        "[carbon]\npue_file = '/a'\npue_url = 'https://b'\n",
        "carbon.pue_url: one of `pue_file`",
    );
    check("[carbon]\npue_token_file = '/a'\n", ":2: carbon.pue_token_file: a key without");
    check("[carbon]\npue_url = 'http://example.org'\n", "https://");
    check("[carbon]\npue_url = 'https://u:p@example.org'\n", "holds no password");
    check("[carbon]\npue_schedule = ['Foo 1.2']\n", "`Foo` is no range");
    check("[carbon]\npue_schedule = ['Jun-Sep']\n", "no PUE");
    check("[carbon]\npue_time_zone = 'Berlin'\n", "no time zone that this machine knows");
    check("[carbon]\nprice_per_kwh = 0.2\n", "`currency` go together");
    check("[carbon]\ncurrency = 'EUR'\n", "`currency` go together");
    check("[carbon]\nmarket_based_grams_per_kwh = 5\n", "`market_based_source` go together");
    check("[carbon]\nembodied = 'yes'\n", "neither on nor off");
    check("[carbon]\nembodied_server_kg = 1e6\n", "out of range");
    check("[carbon]\nembodied_utilisation = 0\n", "out of range");
    check("[carbon]\nwue = -1\n", "out of range");
}

#[test]
fn a_chain_of_feeds_is_read_in_its_order() {
    let case = Case::new(
        "[grid]\nstale_after = '1h'\n[[grid.feeds]]\nfeed = 'electricity-maps'\n\
         zone = 'us-ca'\nplace = 'US-CAL-CISO'\nboundary = 'direct'\ntoken_credential = 'maps'\n\
         [[grid.feeds]]\nfeed = 'json'\nzone = 'US-CA'\nurl = 'http://[::1]:1/a'\npointer = '/a'\n\
         unit = 'lb/MWh'\ninterval = '5min'\ntoken_file = '/k'\ntoken_header = 'X-Key'\n",
    );
    let grid = case.resolve().unwrap().grid;
    let chain = grid.chain.unwrap();
    assert_eq!(grid.stale_after, Duration::from_secs(3_600));
    assert_eq!(chain[0].source(), "electricity-maps:US-CAL-CISO");
    assert_eq!(chain[0].zone.as_deref(), Some("US-CA"));
    assert_eq!(chain[0].boundary.as_str(), "direct");
    assert_eq!(chain[0].token, Some(SecretSource::Credential("maps".into())));
    assert_eq!(chain[1].interval, Duration::from_secs(300));
    assert_eq!(chain[1].token_header.as_deref(), Some("x-key"));
    assert_eq!(Case::new("").resolve().unwrap().grid.chain, None);
    assert_eq!(Case::new("[grid]\nfeeds = []\n").resolve().unwrap().grid.chain, Some(vec![]));
}

#[test]
fn average_and_marginal_feeds_are_two_chains_in_one_list() {
    let grid = Case::new(
        "[[grid.feeds]]\nfeed = 'watttime'\nzone = 'US-CA'\nplace = 'CAISO_NORTH'\nuser = 'me'\n\
         token_file = '/k'\n[[grid.feeds]]\nfeed = 'eia'\nzone = 'US-CA'\nplace = 'CISO'\n\
         token_file = '/k'\n[[grid.feeds]]\nfeed = 'file'\nzone = 'US-CA'\npath = '/a'\n\
         signal = 'marginal'\n",
    );
    let grid = grid.resolve().unwrap().grid;
    let names = |signal| -> Vec<&str> {
        grid.feeds_of("US-CA", signal).iter().map(|feed| feed.provider.name).collect()
    };
    assert_eq!(names(Signal::Average), ["eia"]);
    assert_eq!(names(Signal::Marginal), ["watttime", "file"]);
    // Jobs are booked with averages, whatever is shown.
    assert_eq!(grid.signal, Signal::Average);
    assert_eq!(grid.feeds("US-CA"), grid.feeds_of("US-CA", Signal::Average));
    assert_eq!(grid.every_feed("US-CA").len(), 3);
    let shown = Case::new("[grid]\nsignal = 'marginal'\n").resolve().unwrap().grid;
    assert_eq!((shown.signal, shown.feeds("GB").len()), (Signal::Marginal, 1));
}

#[test]
fn the_boundary_is_asked_of_feeds_that_have_both_and_say_none_themselves() {
    let boundaries = |first: &str| -> Vec<&'static str> {
        let text = format!(
            "{first}[[grid.feeds]]\nfeed = 'electricity-maps'\ntoken_file = '/k'\n\
             [[grid.feeds]]\nfeed = 'electricity-maps'\ntoken_file = '/k'\nboundary = 'lifecycle'\n\
             [[grid.feeds]]\nfeed = 'energy-charts'\n[[grid.feeds]]\nfeed = 'file'\nzone = 'FR'\n\
             path = '/a'\n"
        );
        let mut case = Case::new("");
        case.text = Box::leak(text.into_boxed_str());
        let chain = case.resolve().unwrap().grid.chain.unwrap();
        chain.iter().map(|feed| feed.boundary.as_str()).collect()
    };
    assert_eq!(boundaries(""), ["lifecycle"; 4]);
    let direct = boundaries("[grid]\nboundary = 'direct'\n");
    assert_eq!(direct, ["direct", "lifecycle", "lifecycle", "lifecycle"]);
}

#[test]
fn a_zone_that_is_set_wins_over_a_cloud_region() {
    let by = |text| {
        let options = Case::new(text).resolve().unwrap();
        (options.zone, options.zone_by)
    };
    let (zone, origin) = by("[carbon]\ncloud_region = 'AWS:eu-west-3'\n");
    assert_eq!(zone.as_deref(), Some("FR"));
    assert_eq!(origin, "cloud region aws:eu-west-3, Europe (Paris), by the shipped table");
    let (zone, origin) = by("[carbon]\ncloud_region = 'aws:eu-west-3'\nzone = 'DE'\n");
    assert_eq!(zone.as_deref(), Some("DE"));
    assert!(origin.ends_with("aimeter.toml:3"), "{origin}");
    // Metadata are not asked for unless it is said.
    let options = Case::new("").resolve().unwrap();
    assert!(!options.cloud_metadata && options.zone.is_none() && options.coordinates.is_none());
}

#[test]
fn every_mistake_in_a_feed_names_its_cure_and_no_secret() {
    let check = |text: &'static str, message: &str| {
        assert_eq!(Case::new(text).message(), format!("aimeter.toml:{message}"), "{text}");
    };
    let own = "write [[grid.feeds]] for each feed";
    check("[grid]\nfeeds = 'rte'\n", &format!("2: {own}"));
    check("[grid]\nfeeds = ['rte']\n", &format!("2: {own}"));
    check(
        "[[grid.feeds]]\nfeed = 'energinte'\n",
        "1: unknown feed `energinte`; did you mean `energinet`?",
    );
    check(
        "[[grid.feeds]]\nzone = 'FR'\n",
        "1: a feed takes a `feed`: one of uk-carbon-intensity, energy-charts, energinet, rte, \
         electricity-maps, watttime, entsoe, eia, file, json",
    );
    check(
        "[[grid.feeds]]\nfeed = 'rte'\ntoken = 's3cr3t'\n",
        "3: unknown key of `rte` `token`; known are feed, zone, url",
    );
    check(
        "[[grid.feeds]]\nfeed = 'electricity-maps'\n",
        "1: `electricity-maps` needs a key: `token_file`, or another of the tokens",
    );
    check(
        "[[grid.feeds]]\nfeed = 'electricity-maps'\ntoken = 's3cr3t'\ntoken_file = '/k'\n",
        "4: `token_file`: the key is set twice",
    );
    let only = "it takes https://, or http:// for `json` on this machine itself";
    check(
        "[[grid.feeds]]\nfeed = 'rte'\nurl = 'http://localhost/'\n",
        &format!("3: `url`: {only}"),
    );
    check(
        "[[grid.feeds]]\nfeed = 'json'\nurl = 'http://10.0.0.1/s3cr3t'\n",
        &format!("3: `url`: {only}"),
    );
    check(
        "[[grid.feeds]]\nfeed = 'json'\nurl = 'https://me:s3cr3t@a.org/'\n",
        "3: `url`: an address holds no password: use `token_file`",
    );
    check(
        "[[grid.feeds]]\nfeed = 'json'\nzone = 'DE'\nurl = 'https://a.org/'\nunit = 'g/kWh'\n",
        "1: `json` needs a `pointer`",
    );
    check("[[grid.feeds]]\nfeed = 'file'\nzone = 'DE'\n", "1: `file` needs a `path`");
    check("[[grid.feeds]]\nfeed = 'file'\npath = '/a'\n", "1: `file` needs a `zone`");
    check(
        "[[grid.feeds]]\nfeed = 'energy-charts'\nplace = 'uk'\n",
        "1: `energy-charts` needs a `zone`",
    );
    check("[[grid.feeds]]\nfeed = 'watttime'\ntoken_file = '/k'\n", "1: `watttime` needs a `user`");
    check(
        "[[grid.feeds]]\nfeed = 'watttime'\nuser = 'a:b'\n",
        "3: `user`: it is no name to log in with: no colon may be in it",
    );
    check(
        "[[grid.feeds]]\nfeed = 'watttime'\nuser = 'me'\nplace = 'CAISO_NORTH'\ntoken_file = '/k'\n",
        "1: `watttime` needs a `zone`",
    );
    check("[[grid.feeds]]\nfeed = 'eia'\nzone = 'US-CA'\n", "1: `eia` needs a `place`");
    for name in ["entsoe", "eia", "watttime"] {
        let text = format!(
            "[[grid.feeds]]\nfeed = '{name}'\nzone = 'BE'\nplace = 'X'\n{}",
            if name == "watttime" { "user = 'me'\n" } else { "" }
        );
        let message = format!("1: `{name}` needs a key: `token_file`, or another of the tokens");
        check(Box::leak(text.into_boxed_str()), &message);
    }
    check(
        "[grid]\nsignal = 'both'\n",
        "2: grid.signal: `both` is no signal: write average or marginal",
    );
    check(
        "[carbon]\ncloud_metadata = 'yes'\n",
        "2: `carbon.cloud_metadata` takes true or false, not string",
    );
    check(
        "[grid]\nproxy = 's3cr3t'\n",
        "2: grid.proxy: it is no proxy: write http://HOST:PORT or https://HOST:PORT",
    );
}
