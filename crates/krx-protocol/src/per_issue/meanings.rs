//! What each column means, with its unit: sentences for readers of the documentation and of `krx-recorder schema`.

/// The meaning of a column; a name without one does not compile.
pub(super) const fn meaning_of(name: &str) -> &'static str {
    match name.as_bytes() {
        b"preset" => "what was registered: `tick` or `tick10`",
        b"trade_ts" => {
            "when it was made: the partition's date and `trdTm`. Null when `trdTm` is a signal or was not sent"
        }
        b"trade_time" => "the digits of `trdTm`: 9450155 is 09:45:01.55",
        b"price" => "price of the trade (`trdPrc`): KRW, of derivatives in the unit of their quotation",
        b"value" => {
            "`indices`: the index in points (`trdPrc`). `changes`: the item's text as sent, a string without its quotes"
        }
        b"volume" => "shares or contracts traded (`trdvol`, `trdVol`)",
        b"acc_volume" => "shares or contracts traded since the day began (`accTrdvol`)",
        b"acc_value" => "value traded since the day began, in the unit that was sent (`accTrdval`)",
        b"block_acc_volume" => {
            "contracts of negotiated block trades since the day began (`negoBlkAccTrdvol`)"
        }
        b"open" => "first price of the day (`opnprc`)",
        b"high" => "highest price of the day so far (`hgprc`)",
        b"low" => "lowest price of the day so far (`lwprc`)",
        b"change" => "difference from the last close (`cmpprevddPrc`), as it was sent",
        b"change_kind" => {
            "kind of that difference, in one word (`cmpprevddTpCd`; docs/reading-the-data.md lists the words)"
        }
        b"side" => "side of the order that came last: `sell` or `buy` (`lstAskbidTpCd`, `lstTrdTpCd`)",
        b"ask_price" => "best ask price (`askordPrc_1`, in quotes `askStep1BstordPrc`)",
        b"bid_price" => "best bid price (`bidordPrc_1`, in quotes `bidStep1BstordPrc`)",
        b"ask_size" => "size at the best ask (`askStep1BstordRqty`)",
        b"bid_size" => "size at the best bid (`bidStep1BstordRqty`)",
        b"ask_total_size" => "size of all asks (`askordTotRqty`, of derivatives `askTotOrdRqty`)",
        b"bid_total_size" => "size of all bids (`bidordTotRqty`, of derivatives `bidTotOrdRqty`)",
        b"after_hours_ask_total_size" => "size of all asks after hours (`pstoffhrAskTotOrdRqty`)",
        b"after_hours_bid_total_size" => "size of all bids after hours (`pstoffhrBidTotOrdRqty`)",
        b"ask_total_orders" => "number of all asks (`askValidOrdCnt`)",
        b"bid_total_orders" => "number of all bids (`bidValidOrdCnt`)",
        b"expected_price" => "price at which an auction would match now (`deemTrdPrc`)",
        b"expected_volume" => "volume that an auction would match now (`deemTrdvol`)",
        b"expected_acc_volume" => "`acc_volume` after such a match (`deemAccTrdvol`)",
        b"upper_limit_price" => "upper price limit in force (`realtmUplmtprc`)",
        b"lower_limit_price" => "lower price limit in force (`realtmLwlmtprc`)",
        b"near_leg_price" => "price of a spread's near leg (`fstmmAgndaContrtPrc`)",
        b"far_leg_price" => "price of a spread's far leg (`futrmmAgndaContrtPrc`)",
        b"order_ts" => {
            "when the order was accepted: the partition's date and `ordAcptTm`. Null when that is not a time"
        }
        b"order_time" => "the digits of `ordAcptTm`",
        b"field" => "the item's key as Koscom spells it",
        [b'a', b's', b'k', b'_', b'p', b'r', b'i', b'c', b'e', b'_', _, _] => {
            "ask price of this level; 01 is the best"
        }
        [b'b', b'i', b'd', b'_', b'p', b'r', b'i', b'c', b'e', b'_', _, _] => {
            "bid price of this level; 01 is the best"
        }
        [b'a', b's', b'k', b'_', b's', b'i', b'z', b'e', b'_', _, _] => "size asked at this level",
        [b'b', b'i', b'd', b'_', b's', b'i', b'z', b'e', b'_', _, _] => "size bid at this level",
        [
            b'a',
            b's',
            b'k',
            b'_',
            b'o',
            b'r',
            b'd',
            b'e',
            b'r',
            b's',
            b'_',
            _,
            _,
        ] => "number of orders asking at this level",
        [
            b'b',
            b'i',
            b'd',
            b'_',
            b'o',
            b'r',
            b'd',
            b'e',
            b'r',
            b's',
            b'_',
            _,
            _,
        ] => "number of orders bidding at this level",
        _ => panic!("a column without a meaning"),
    }
}
