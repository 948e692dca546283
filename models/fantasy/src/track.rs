//! Tracks and their kinds. What is not listed is an error: a default kind
//! would put a road course among ovals without anybody noticing.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::name;

/// How a track races.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Drafting in packs: Daytona, Talladega, Atlanta since 2022.
    Superspeedway,
    /// Ovals above 1.1 miles.
    Intermediate,
    /// Paved ovals up to 1.1 miles.
    Short,
    /// Road courses and street circuits.
    Road,
    /// Dirt ovals.
    Dirt,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Superspeedway, Self::Intermediate, Self::Short, Self::Road, Self::Dirt];

    /// As it is written in facts and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Superspeedway => "superspeedway",
            Self::Intermediate => "intermediate",
            Self::Short => "short",
            Self::Road => "road",
            Self::Dirt => "dirt",
        }
    }

    /// The kind of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// No track of this name is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the track {0:?} is not known; say its kind")]
pub struct UnknownTrack(pub String);

/// A known track: its key, the spellings it goes by, its kind.
struct Known {
    id: &'static str,
    names: &'static [&'static str],
    kind: Kind,
}

use Kind::{Dirt, Intermediate, Road, Short, Superspeedway};

const fn listed(id: &'static str, names: &'static [&'static str], kind: Kind) -> Known {
    Known { id, names, kind }
}

static TRACKS: &[Known] = &[
    listed("daytona", &["daytona-international-speedway"], Superspeedway),
    listed("talladega", &["talladega-superspeedway"], Superspeedway),
    listed("atlanta", &["atlanta-motor-speedway", "echopark-speedway"], Intermediate),
    listed("auto-club", &["auto-club-speedway", "california-speedway"], Intermediate),
    listed("charlotte", &["charlotte-motor-speedway", "lowes-motor-speedway"], Intermediate),
    listed("chicagoland", &["chicagoland-speedway"], Intermediate),
    listed("darlington", &["darlington-raceway"], Intermediate),
    listed(
        "gateway",
        &[
            "world-wide-technology-raceway",
            "world-wide-technology-raceway-at-gateway",
            "gateway-motorsports-park",
        ],
        Intermediate,
    ),
    listed("homestead", &["homestead-miami-speedway", "homesteadmiami-speedway"], Intermediate),
    listed("indianapolis", &["indianapolis-motor-speedway"], Intermediate),
    listed("kansas", &["kansas-speedway"], Intermediate),
    listed("kentucky", &["kentucky-speedway"], Intermediate),
    listed("las-vegas", &["las-vegas-motor-speedway"], Intermediate),
    listed("michigan", &["michigan-international-speedway"], Intermediate),
    listed("nashville", &["nashville-superspeedway"], Intermediate),
    listed("pocono", &["pocono-raceway"], Intermediate),
    listed("texas", &["texas-motor-speedway"], Intermediate),
    listed("bristol", &["bristol-motor-speedway"], Short),
    listed("dover", &["dover-international-speedway", "dover-motor-speedway"], Short),
    listed("iowa", &["iowa-speedway"], Short),
    listed(
        "los-angeles",
        &["los-angeles-memorial-coliseum", "la-memorial-coliseum", "the-clash-at-the-coliseum"],
        Short,
    ),
    listed("bowman-gray", &["bowman-gray-stadium"], Short),
    listed("lucas-oil", &["lucas-oil-indianapolis-raceway-park", "lucas-oil-raceway"], Short),
    listed("martinsville", &["martinsville-speedway"], Short),
    listed("milwaukee", &["milwaukee-mile", "the-milwaukee-mile"], Short),
    listed("new-hampshire", &["new-hampshire-motor-speedway"], Short),
    listed("north-wilkesboro", &["north-wilkesboro-speedway"], Short),
    listed("phoenix", &["phoenix-raceway", "ism-raceway", "phoenix-international-raceway"], Short),
    listed("richmond", &["richmond-raceway", "richmond-international-raceway"], Short),
    listed("rockingham", &["rockingham-speedway"], Short),
    listed(
        "bristol-dirt",
        &["bristol-motor-speedway-dirt", "bristol-motor-speedway-dirt-track", "bristol-dirt"],
        Dirt,
    ),
    listed("eldora", &["eldora-speedway"], Dirt),
    listed("knoxville", &["knoxville-raceway"], Dirt),
    listed(
        "charlotte-road",
        &["charlotte-motor-speedway-road-course", "charlotte-roval", "charlotte-motor-speedway-roval"],
        Road,
    ),
    listed("chicago-street", &["chicago-street-race", "chicago-street-course", "grant-park-220"], Road),
    listed("cota", &["circuit-of-the-americas", "circuit-of-the-americas-national"], Road),
    listed(
        "coronado",
        &["naval-base-coronado", "qualcomm-circuit-at-naval-base-coronado", "coronado-street-course"],
        Road,
    ),
    listed("daytona-road", &["daytona-road-course", "daytona-international-speedway-road-course"], Road),
    listed(
        "indianapolis-road",
        &["indianapolis-motor-speedway-road-course", "indianapolis-road-course"],
        Road,
    ),
    listed("lime-rock", &["lime-rock-park"], Road),
    listed("mexico-city", &["autodromo-hermanos-rodriguez"], Road),
    listed("mid-ohio", &["mid-ohio-sports-car-course"], Road),
    listed("mosport", &["canadian-tire-motorsport-park"], Road),
    listed("portland", &["portland-international-raceway"], Road),
    listed("road-america", &["road-america"], Road),
    listed("sonoma", &["sonoma-raceway"], Road),
    listed("st-petersburg", &["streets-of-st-petersburg", "st-petersburg-street-course"], Road),
    listed("watkins-glen", &["watkins-glen-international"], Road),
];

/// Atlanta was rebuilt with steeper banking and has raced in packs since.
const ATLANTA_REBUILT: Date = jiff::civil::date(2022, 1, 1);

/// The id and kind of the track of this name on this day. A road course of an
/// oval is another track than the oval.
pub fn find(track: &str, on: Date) -> Result<(&'static str, Kind), UnknownTrack> {
    let key = name::key(track);
    let found = TRACKS.iter().find(|t| t.id == key || t.names.contains(&key.as_str()));
    let found = found.ok_or_else(|| UnknownTrack(track.to_owned()))?;
    let kind = if found.id == "atlanta" && on >= ATLANTA_REBUILT { Superspeedway } else { found.kind };
    Ok((found.id, kind))
}

/// Kinds of a track of this list, with the day from which each holds.
pub fn known(id: &str) -> Vec<(Option<Date>, Kind)> {
    let Some(track) = TRACKS.iter().find(|t| t.id == id) else { return Vec::new() };
    let mut kinds = vec![(None, track.kind)];
    if id == "atlanta" {
        kinds.push((Some(ATLANTA_REBUILT), Superspeedway));
    }
    kinds
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn spellings_and_rebuilt_tracks() {
        let kind = |name, year| find(name, date(year, 6, 1)).map(|(_, kind)| kind);
        assert_eq!(kind("Circuit of The Americas", 2021), Ok(Road));
        assert_eq!(kind("Autódromo Hermanos Rodríguez", 2025), Ok(Road));
        assert_eq!(kind("Atlanta Motor Speedway", 2021), Ok(Intermediate));
        assert_eq!(kind("EchoPark Speedway", 2025), Ok(Superspeedway));
        assert_eq!(kind("Charlotte Motor Speedway Road Course", 2020), Ok(Road));
        let day = date(2020, 1, 1);
        assert_eq!(find("ISM Raceway", day).unwrap().0, find("Phoenix Raceway", day).unwrap().0);
        assert_eq!(find("Dover International Speedway", day), find("Dover Motor Speedway", day));
    }

    #[test]
    fn an_unknown_track_is_an_error() {
        assert_eq!(find("Moon Raceway", date(2023, 1, 1)), Err(UnknownTrack("Moon Raceway".into())));
    }

    #[test]
    fn no_name_means_two_tracks() {
        let mut seen = std::collections::BTreeSet::new();
        for track in TRACKS {
            assert!(seen.insert(track.id), "{}", track.id);
            for name in track.names.iter().filter(|name| **name != track.id) {
                assert_eq!(name::key(name), *name);
                assert!(seen.insert(name), "{name}");
            }
        }
    }
}
