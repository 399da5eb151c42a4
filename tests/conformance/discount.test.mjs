// Coupons and promotion codes, from the shop's wish to the customer's bill.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSandbox, refused, sessionOf } from '../harness/conformance.mjs';

const { stripe, pay, receive } = await openSandbox();
const sessions = stripe.checkout.sessions;

test('a coupon is made once under the id of the shop', async () => {
  const coupon = await stripe.coupons.create({ id: 'topup_1', amount_off: 120, currency: 'usd', duration: 'once', max_redemptions: 1, name: 'Welcome', metadata: { ours: '1' } });
  assert.deepEqual([coupon.id, coupon.amount_off, coupon.valid, coupon.times_redeemed], ['topup_1', 120, true, 0]);
  await refused(stripe.coupons.create({ id: 'topup_1', percent_off: 5 }), { type: 'StripeInvalidRequestError', statusCode: 400, code: 'resource_already_exists' });
  assert.equal((await stripe.coupons.update('topup_1', { name: 'Hello' })).name, 'Hello');
  assert.deepEqual((await stripe.coupons.list()).data.map(({ id }) => id), ['topup_1']);
  assert.equal((await stripe.coupons.create({ percent_off: 12.5, duration: 'once' })).percent_off, 12.5);
});

test('the same request under the same key gives the same coupon', async () => {
  const make = () => stripe.coupons.create({ id: 'keyed', percent_off: 5 }, { idempotencyKey: 'coupon-keyed' });
  const [first, again] = [await make(), await make()];
  assert.deepEqual({ ...first }, { ...again });
});

test('a discount is taken off, counted, and used up', async () => {
  const receiver = await receive(['checkout.session.completed', 'coupon.created', 'coupon.deleted']);
  await stripe.coupons.create({ id: 'once', amount_off: 100, currency: 'usd', max_redemptions: 1 });
  const session = await sessions.create(sessionOf(500, { discounts: [{ coupon: 'once' }] }));
  assert.deepEqual([session.amount_subtotal, session.amount_total, session.total_details.amount_discount], [500, 400, 100]);
  const expanded = await sessions.retrieve(session.id, { expand: ['discounts.coupon'] });
  assert.equal(expanded.discounts[0].coupon.id, 'once');
  assert.equal((await pay(session, 'pm_card_visa')).status, 200);
  const coupon = await stripe.coupons.retrieve('once');
  assert.deepEqual([coupon.times_redeemed, coupon.valid], [1, false]);
  await refused(sessions.create(sessionOf(500, { discounts: [{ coupon: 'once' }] })), { type: 'StripeInvalidRequestError', code: 'coupon_expired', param: 'discounts[0][coupon]' });
  assert.equal((await stripe.coupons.del('once')).deleted, true);
  await refused(stripe.coupons.retrieve('once'), { statusCode: 404, code: 'resource_missing' });
  assert.ok(receiver.url);
});

test('a promotion code leads to its coupon', async () => {
  const { id: coupon } = await stripe.coupons.create({ percent_off: 10 });
  const code = await stripe.promotionCodes.create({ promotion: { type: 'coupon', coupon }, code: 'SPRING' });
  assert.deepEqual([code.code, code.promotion.coupon, code.active], ['SPRING', coupon, true]);
  assert.equal((await stripe.promotionCodes.retrieve(code.id, { expand: ['promotion.coupon'] })).promotion.coupon.percent_off, 10);
  const session = await sessions.create(sessionOf(500, { discounts: [{ promotion_code: code.id }] }));
  assert.deepEqual([session.amount_total, session.discounts[0].promotion_code], [450, code.id]);
  assert.equal((await pay(session, 'pm_card_visa')).status, 200);
  assert.equal((await stripe.promotionCodes.list({ code: 'spring' })).data[0].times_redeemed, 1);
  assert.equal((await stripe.promotionCodes.update(code.id, { active: false })).active, false);
  assert.equal((await sessions.create(sessionOf(500, { allow_promotion_codes: true }))).allow_promotion_codes, true);
});
