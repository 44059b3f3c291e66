import { fromJSON } from '@grpc/proto-loader'
import { describe, expect, test } from 'vitest'
import {
  GrpcStatus,
  NOT_GRPC_FIELDS,
  isGrpcContentType,
  retryInfoDetails,
  trailerFields,
  trailersOnlyFields,
} from '../../../src/grpc/index.ts'

/** Reads google.rpc.Status and RetryInfo with another implementation of protobuf. */
const reader = fromJSON({
  nested: {
    Any: { fields: { typeUrl: { type: 'string', id: 1 }, value: { type: 'bytes', id: 2 } } },
    Status: {
      fields: {
        code: { type: 'int32', id: 1 },
        message: { type: 'string', id: 2 },
        details: { rule: 'repeated', type: 'Any', id: 3 },
      },
    },
    Duration: { fields: { seconds: { type: 'int64', id: 1 }, nanos: { type: 'int32', id: 2 } } },
    RetryInfo: { fields: { retryDelay: { type: 'Duration', id: 1 } } },
    Reader: {
      methods: {
        Status: { requestType: 'Status', responseType: 'Status', comment: '' },
        RetryInfo: { requestType: 'RetryInfo', responseType: 'RetryInfo', comment: '' },
      },
    },
  },
})['Reader'] as unknown as Record<'Status' | 'RetryInfo', { requestDeserialize: (bytes: Buffer) => unknown }>

interface DecodedStatus {
  code: number
  message: string
  details: { typeUrl: string; value: Buffer }[]
}

function decode(value: string): DecodedStatus {
  return reader.Status.requestDeserialize(Buffer.from(value, 'base64')) as DecodedStatus
}

describe('google.rpc.RetryInfo', () => {
  test.each([1, 5, 10, 127, 128, 300])(
    'of %i seconds is read by another protobuf implementation',
    (seconds) => {
      const status = decode(
        retryInfoDetails(GrpcStatus.UNAVAILABLE, seconds, 'authgw: token unavailable: timeout'),
      )
      expect(status.code).toBe(14)
      expect(status.message).toBe('authgw: token unavailable: timeout')
      expect(status.details.map((any) => any.typeUrl)).toEqual(['type.googleapis.com/google.rpc.RetryInfo'])
      const retryInfo = reader.RetryInfo.requestDeserialize(status.details[0]!.value)
      expect(JSON.parse(JSON.stringify(retryInfo))).toMatchObject({
        retryDelay: { seconds: { low: seconds, high: 0 } },
      })
    },
  )

  test('is base64 without padding, byte for byte', () => {
    const value = retryInfoDetails(14, 1, '')
    expect(value).not.toContain('=')
    expect(Buffer.from(value, 'base64').toString('hex')).toBe(
      `080e12001a30` +
        `0a28${Buffer.from('type.googleapis.com/google.rpc.RetryInfo').toString('hex')}` +
        `12040a020801`,
    )
  })

  test('lengths beyond 127 take two octets', () => {
    const message = 'é'.repeat(200)
    expect(decode(retryInfoDetails(14, 3, message)).message).toBe(message)
  })

  test('the same answer is encoded once; more answers than are kept stay right', () => {
    expect(retryInfoDetails(14, 2, 'x')).toBe(retryInfoDetails(14, 2, 'x'))
    for (let i = 0; i < 2_000; i++) retryInfoDetails(14, 1, `message ${i}`)
    expect(decode(retryInfoDetails(8, 9, 'message 1999'))).toMatchObject({ code: 8, message: 'message 1999' })
    expect(decode(retryInfoDetails(14, 1, 'message 1999')).message).toBe('message 1999')
  })
})

describe('an answer of our own', () => {
  test('is trailers-only: one block with everything in it', () => {
    expect(
      trailersOnlyFields({
        status: 14,
        message: 'authgw: token unavailable: 100 %',
        retryDelaySeconds: 5,
        reason: 'credential_unavailable',
      }),
    ).toEqual([
      [':status', '200'],
      ['content-type', 'application/grpc'],
      ['grpc-status', '14'],
      ['grpc-message', 'authgw: token unavailable: 100 %25'],
      ['grpc-status-details-bin', retryInfoDetails(14, 5, 'authgw: token unavailable: 100 %')],
      ['authgw-reason', 'credential_unavailable'],
    ])
  })

  test('leaves out what there is nothing to say about', () => {
    expect(trailersOnlyFields({ status: 16, message: '', retryDelaySeconds: null, reason: null })).toEqual([
      [':status', '200'],
      ['content-type', 'application/grpc'],
      ['grpc-status', '16'],
    ])
  })

  test('that has begun ends with the same trailers, without a head', () => {
    expect(
      trailerFields({ status: 4, message: 'deadline exceeded', retryDelaySeconds: null, reason: 'deadline' }),
    ).toEqual([
      ['grpc-status', '4'],
      ['grpc-message', 'deadline exceeded'],
      ['authgw-reason', 'deadline'],
    ])
  })

  test('to what is not gRPC is HTTP 415', () => {
    expect(NOT_GRPC_FIELDS[0]).toEqual([':status', '415'])
  })
})

describe('content-type', () => {
  test.each([
    'application/grpc',
    'application/grpc+proto',
    'application/grpc;charset=utf-8',
    'Application/gRPC+json',
  ])('%s is gRPC', (value) => expect(isGrpcContentType(value)).toBe(true))

  test.each([
    '',
    'application/json',
    'application/grp',
    'application/grpc-web',
    'application/grpc-web+proto',
    ' application/grpc',
    'text/application/grpc',
  ])('"%s" is not', (value) => expect(isGrpcContentType(value)).toBe(false))
})
