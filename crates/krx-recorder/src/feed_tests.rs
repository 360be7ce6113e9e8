//! Tests of what a feed does with each message, without a socket.

use std::cell::Cell;

use futures_util::stream;
use krx_store::journal::What;

use super::*;
use crate::queue::queue;

fn reader<'a>(queue: &'a Queue, status: &'a FeedStatus, accepted: &'a AtomicBool) -> Reader<'a> {
    Reader {
        market: "KOSPI",
        queue,
        status,
        accepted,
        data: false,
    }
}

#[tokio::test]
async fn a_frame_is_stamped_when_it_is_read_before_any_other_work_on_it() {
    let (queue, mut entries) = queue();
    let (status, accepted) = (FeedStatus::default(), AtomicBool::new(false));
    // The clock is the count of steps: reading is step 1, stamping must be step 2, and all other work comes later.
    let step = Cell::new(0);
    let tick = || {
        step.set(step.get() + 1);
        step.get()
    };
    let mut messages = Box::pin(stream::poll_fn(|_| {
        tick();
        std::task::Poll::Ready(Some(Ok(Message::text("[]"))))
    }));
    let read = reader(&queue, &status, &accepted)
        .read(&mut messages, || Moment(tick()))
        .await
        .unwrap();
    assert_eq!((read, step.get()), (Read::Data, 2));
    let batch = tokio::task::spawn_blocking(move || {
        let mut batch = Vec::new();
        entries.take(&mut batch, 10);
        batch
    })
    .await
    .unwrap();
    assert_eq!(
        (batch[0].at, &batch[0].what),
        (Moment(2), &What::Frame(Bytes::from_static(b"[]")))
    );
    assert_eq!(status.last_frame_us.load(Relaxed), 2);
}

#[tokio::test]
async fn each_message_is_told_from_the_others() {
    let (queue, _entries) = queue();
    let key = "error 10070: 고객 정보가 일치하지 않습니다";
    let cases = [
        (Message::text("[]"), Read::Data, true),
        (Message::binary("[]"), Read::Data, true),
        (Message::text("garbage"), Read::Data, true),
        (
            Message::text(r#"{"jsonrpc":"2.0","id":1,"result":{"message":"ok"}}"#),
            Read::Other,
            true,
        ),
        (Message::text(krx_protocol::heartbeat()), Read::Other, false),
        (
            Message::text(r#"{"error":{"code":47,"message":"x"}}"#),
            Read::Other,
            false,
        ),
        (
            Message::text(r#"{"error":{"code":10070,"message":"고객 정보가 일치하지 않습니다"}}"#),
            Read::End(GapReason::Refused, key.to_owned()),
            false,
        ),
        (Message::Pong(Bytes::new()), Read::Other, false),
        (
            Message::Close(None),
            Read::End(GapReason::ServerClosed, "no close code".to_owned()),
            false,
        ),
    ];
    for (message, expected, accepts) in cases {
        let (status, accepted) = (FeedStatus::default(), AtomicBool::new(false));
        let mut messages = stream::iter([Ok(message)]);
        let read = reader(&queue, &status, &accepted)
            .read(&mut messages, Moment::now)
            .await
            .unwrap();
        assert_eq!((read, accepted.load(Relaxed)), (expected, accepts));
    }
}
