import Broker
import Testing

@Suite struct TokenBucketTests {
  @Test func burstAndRate() {
    var bucket = TokenBucket(perSecond: 5, burst: 10, nowMilliseconds: 1000)
    for _ in 0..<10 { #expect(bucket.take(nowMilliseconds: 1000) == true) }
    #expect(bucket.take(nowMilliseconds: 1000) == false)
    #expect(bucket.waitMilliseconds() == 200)
    #expect(bucket.take(nowMilliseconds: 1199) == false)
    #expect(bucket.waitMilliseconds() == 1)
    #expect(bucket.take(nowMilliseconds: 1200) == true)
    #expect(bucket.take(nowMilliseconds: 1200) == false)
  }

  @Test func clocksThatGoBackGiveNothing() {
    var bucket = TokenBucket(perSecond: 1000, burst: 1, nowMilliseconds: 5000)
    #expect(bucket.take(nowMilliseconds: 5000) == true)
    #expect(bucket.take(nowMilliseconds: 0) == false)
    #expect(bucket.take(nowMilliseconds: 5001) == true)
  }

  @Test func neverMoreThanABurst() {
    var bucket = TokenBucket(perSecond: 1 << 40, burst: 3, nowMilliseconds: 0)
    #expect(bucket.take(2, nowMilliseconds: 0) == true)
    #expect(bucket.take(3, nowMilliseconds: .max) == true)
    #expect(bucket.take(nowMilliseconds: .max) == false)
    // What costs more than a burst needs a full one.
    var small = TokenBucket(perSecond: 1, burst: 2, nowMilliseconds: 0)
    #expect(small.take(100, nowMilliseconds: 0) == true)
    #expect(small.take(100, nowMilliseconds: 1999) == false)
    #expect(small.take(100, nowMilliseconds: 2000) == true)
  }
}
