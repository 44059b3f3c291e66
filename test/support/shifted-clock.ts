/**
 * Preloaded into a process (`node --import`), moves its wall clock by AUTHGW_TEST_CLOCK_SHIFT_MS. Monotonic time is left alone.
 */
const shiftMs = Number(process.env['AUTHGW_TEST_CLOCK_SHIFT_MS'] ?? 0)
const RealDate = Date
const now = (): number => RealDate.now() + shiftMs

globalThis.Date = new Proxy(RealDate, {
  construct: (target, given: unknown[]) =>
    Reflect.construct(target, given.length === 0 ? [now()] : given) as object,
  get: (target, name, receiver) => (name === 'now' ? now : (Reflect.get(target, name, receiver) as unknown)),
})
