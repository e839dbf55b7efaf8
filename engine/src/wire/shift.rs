//! Splits, and how to get from one to another.

use super::{Malformed, narrow, v1};
use crate::cluster::{How, ShiftId};
use crate::drive::wall::PendingShift;
use crate::units::Split;

pub(crate) fn split(split: Split) -> v1::Split {
    let Split { prefill, decode, aggregated } = split;
    v1::Split { prefill: prefill.into(), decode: decode.into(), aggregated: aggregated.into() }
}

pub(crate) fn read_split(split: Option<v1::Split>, name: &str) -> Result<Split, Malformed> {
    let v1::Split { prefill, decode, aggregated } = super::needed(split, name)?;
    let sum = u64::from(prefill) + u64::from(decode) + u64::from(aggregated);
    if sum > u64::from(Split::MAX_UNITS) {
        return Err(Malformed(format!("`{name}` has {sum} units, at most {} are possible", Split::MAX_UNITS)));
    }
    let [prefill, decode, aggregated] = [prefill, decode, aggregated].map(|count| narrow(count, name));
    Ok(Split { prefill: prefill?, decode: decode?, aggregated: aggregated? })
}

pub(crate) fn how(how: How) -> i32 {
    match how {
        How::Drain => v1::How::Drain,
        How::Migrate => v1::How::Migrate,
        How::Restart => v1::How::Restart,
    }
    .into()
}

pub(crate) fn read_how(how: i32) -> Result<How, Malformed> {
    match v1::How::try_from(how) {
        Ok(v1::How::Unspecified | v1::How::Drain) => Ok(How::Drain),
        Ok(v1::How::Migrate) => Ok(How::Migrate),
        Ok(v1::How::Restart) => Ok(How::Restart),
        Err(_) => {
            Err(Malformed(format!("`how` is {how}: HOW_DRAIN (1), HOW_MIGRATE (2) and HOW_RESTART (3) are possible")))
        }
    }
}

pub(super) fn pending(shift: &PendingShift) -> v1::PendingShift {
    v1::PendingShift { ticket: shift.id.0, to: Some(split(shift.to)), how: how(shift.how) }
}

pub(super) fn read_pending(shift: &v1::PendingShift) -> Result<PendingShift, Malformed> {
    Ok(PendingShift { id: ShiftId(shift.ticket), to: read_split(shift.to, "to")?, how: read_how(shift.how)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_shifting_comes_back_and_an_unknown_one_is_refused_by_number() {
        for of in How::ALL {
            assert_eq!(read_how(how(of)).expect("a way"), of);
        }
        assert_eq!(read_how(0).expect("the default"), How::Drain);
        let Malformed(refused) = read_how(9).expect_err("none");
        assert_eq!(refused, "`how` is 9: HOW_DRAIN (1), HOW_MIGRATE (2) and HOW_RESTART (3) are possible");
    }
}
