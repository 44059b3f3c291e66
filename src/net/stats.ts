/**
 * What the network room counts: plain number fields, read when metrics are scraped.
 * Floor 4; knows neither metric names nor a registry: telemetry/ has the table.
 */

/** Counters and gauges of sockets, handshakes, reloads and resolutions of one worker. Counters never go down. */
export class NetStats {
  /** Ingress connections that are open now, those in a TLS handshake included. */
  ingressOpen = 0
  ingressAccepted = 0
  /** Connections refused: the total of `limits.max_connections` was reached. */
  refusedByTotal = 0
  /** Connections refused: 256 (default) unverified ones from the same address. */
  refusedByAddress = 0
  /** Connections refused, or slow handshakes given up for a newer one: 128 (default) handshakes pending. */
  refusedByHandshakes = 0
  /** Connections that the relay did not want: draining. */
  refusedByRelay = 0
  /** `accept` failed: the process is out of file descriptors. */
  acceptErrors = 0
  handshakesPending = 0
  handshakesFailed = 0
  handshakesTimedOut = 0
  /** Clients without a certificate where one is required. */
  certificatesMissing = 0
  /** Client certificates that did not verify. */
  certificatesRefused = 0
  /** Verified certificates with no name on the `allowed_sans` list. */
  namesRefused = 0
  /** Peers that spoke TLS without ALPN `h2`. */
  alpnRefused = 0
  /** Live peers closed: no longer trusted after a change of the CA or the revocation list. */
  peersUntrusted = 0
  /** Live peers closed: their certificate has reached its notAfter. */
  peersExpired = 0
  /** TLS handshakes with an upstream: broken off by either side, or refused by an alert. */
  egressHandshakesFailed = 0
  egressHandshakesTimedOut = 0
  /** Certificates of an upstream that did not verify. */
  egressCertificatesRefused = 0
  /** Certificates of an upstream for another name, or with none that is on the `allowed_sans` list. */
  egressNamesRefused = 0
  /** Upstreams that spoke TLS without ALPN `h2`. */
  egressAlpnRefused = 0
  egressOpen = 0
  egressDials = 0
  egressDialsFailed = 0
  ingressBytesIn = 0
  ingressBytesOut = 0
  egressBytesIn = 0
  egressBytesOut = 0
  /** Octets that wait in sockets now, because their peers do not read them. */
  socketBytesWaiting = 0
  /** Times a socket was not read for a while, because its peer does not read our answers. */
  readPauses = 0
  resolutions = 0
  resolutionsFailed = 0
  reloads = 0
  reloadsFailed = 0
  /** Times the event loop was more than a second late; counted by whoever is told of it (`onLate`). */
  loopLate = 0
  /** Errors of our own that were caught; counted by whoever is told of them (`onBug`). */
  bugs = 0
}
