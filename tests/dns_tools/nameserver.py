"""A real authoritative name server on a loopback port, over UDP and TCP, that can also be as bad as those out there.

`load` takes a zone file with absolute names. Wildcards, empty non-terminals and CNAME chains are answered as RFC 1034 §4.3
has it; truncation follows from the size of the answer and the size that the question allows.
"""

import contextlib
import socketserver
import struct
import threading
import time

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone

from dns_tools.lookup import make_resolver

PLAIN_UDP_OCTETS = 512


class NameServer:
    """`asked` keeps every question: (name, type, "udp" or "tcp")."""

    def __init__(self, host="127.0.0.1", port=0):
        self.asked = []
        self.reset()
        self._udp, self._tcp = _bind_both(self, host, port)
        self.port = self._udp.server_address[1]
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            for server in (self._udp, self._tcp)
        ]

    def reset(self):
        self.nodes = {}
        self.silent, self.servfail, self.refused, self.truncated, self.bare_aliases = set(), set(), set(), set(), False
        self.lame = self.deaf = False
        self.slow_seconds = {}
        self.validated = set()
        self.asked.clear()

    def load(self, text):
        zone = dns.zone.from_text(
            "$TTL 300\n" + text, origin=dns.name.root, relativize=False, check_origin=False, allow_include=False
        )
        for name, node in zone.nodes.items():
            held = self.nodes.setdefault(name, {})
            for rdataset in node.rdatasets:
                held[(rdataset.rdtype, rdataset.covers)] = rdataset
        return self

    def txt(self, name, *texts, split=255):
        """TXT records of any octets."""
        octets = [text.encode("latin-1") if isinstance(text, str) else text for text in texts]
        for text in octets:
            pieces = [text[at : at + split] for at in range(0, len(text), split)] or [b""]
            quoted = " ".join('"' + "".join(f"\\{octet:03d}" for octet in piece) + '"' for piece in pieces)
            self._add(name, "TXT", quoted)
        return self

    def _add(self, name, rdtype, text):
        owner = dns.name.from_text(name)
        made = dns.rrset.from_text(owner, 300, "IN", rdtype, text)
        held = self.nodes.setdefault(owner, {})
        key = (made.rdtype, made.covers)
        if key in held:
            held[key] = held[key].union(made.to_rdataset())
        else:
            held[key] = made.to_rdataset()

    def soa(self, zone, serial):
        """A zone file knows one SOA only, at its origin; here are many zones."""
        self.add_rrset(dns.rrset.from_text(f"{zone}.", 300, "IN", "SOA", f"ns1.{zone}. admin.{zone}. {serial} 1 1 1 1"))
        return self

    def add_rrset(self, rrset):
        self.nodes.setdefault(rrset.name, {})[(rrset.rdtype, rrset.covers)] = rrset.to_rdataset()

    def resolver(self, *, timeout_seconds=0.5, lifetime_seconds=1.5):
        return make_resolver(
            f"127.0.0.1:{self.port}", timeout_seconds=timeout_seconds, lifetime_seconds=lifetime_seconds
        )

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        for server in (self._udp, self._tcp):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()

    def answer(self, wire, transport):
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, label = question.name, str(question.name).rstrip(".").lower()
        self.asked.append((label, dns.rdatatype.to_text(question.rdtype), transport))
        if self.deaf or label in self.silent or (label, dns.rdatatype.to_text(question.rdtype)) in self.silent:
            return None
        time.sleep(self.slow_seconds.get(label, 0))
        reply = dns.message.make_response(query)
        if label in self.servfail:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif label in self.refused:
            reply.set_rcode(dns.rcode.REFUSED)
        elif self.lame:  # Without authority, and with a referral to where the question came from.
            reply.authority.append(dns.rrset.from_text(".", 300, "IN", "NS", "a.root.invalid."))
        else:
            reply.flags |= dns.flags.AA
            self._fill(reply, name, question.rdtype, signed=bool(query.ednsflags & dns.flags.DO))
        if label in self.validated:
            reply.flags |= dns.flags.AD
        return self._fit(reply, query, transport, label)

    def _fit(self, reply, query, transport, label):
        limit = 65535 if transport == "tcp" else max(query.payload or 0, PLAIN_UDP_OCTETS)
        if not (transport == "udp" and label in self.truncated):
            with contextlib.suppress(dns.exception.TooBig):
                return reply.to_wire(max_size=limit)
        reply.answer, reply.authority = [], []
        reply.flags |= dns.flags.TC
        return reply.to_wire()

    def _fill(self, reply, name, rdtype, *, signed):
        for _ in range(16):
            node = self._node(name)
            if node is None:
                reply.set_rcode(dns.rcode.NXDOMAIN)
                return
            found = node.get((rdtype, dns.rdatatype.NONE))
            if found is not None:
                self._add_set(reply, name, found)
                signatures = node.get((dns.rdatatype.RRSIG, rdtype))
                if signatures is not None and signed:
                    self._add_set(reply, name, signatures)
                return
            alias = node.get((dns.rdatatype.CNAME, dns.rdatatype.NONE))
            if alias is None:
                return
            self._add_set(reply, name, alias)
            if self.bare_aliases:
                return
            name = alias[0].target

    def _add_set(self, reply, name, rdataset):
        reply.answer.append(dns.rrset.from_rdata_list(name, rdataset.ttl, list(rdataset)))

    def _node(self, name):
        if name in self.nodes:
            return self.nodes[name]
        if any(held.is_subdomain(name) for held in self.nodes):
            return {}  # An empty non-terminal: NOERROR without data.
        parent = name
        while parent != dns.name.root:
            parent = parent.parent()
            wildcard = dns.name.Name((b"*", *parent.labels))
            if wildcard in self.nodes:
                return self.nodes[wildcard]
            if parent in self.nodes or any(held.is_subdomain(parent) for held in self.nodes):
                return None
        return None


class _UdpHandler(socketserver.BaseRequestHandler):
    def handle(self):
        wire, sock = self.request
        reply = self.server.owner.answer(wire, "udp")
        if reply is not None:
            with contextlib.suppress(OSError):
                sock.sendto(reply, self.client_address)


class _TcpHandler(socketserver.StreamRequestHandler):
    def handle(self):
        while header := self.rfile.read(2):
            wire = self.rfile.read(struct.unpack("!H", header)[0])
            reply = self.server.owner.answer(wire, "tcp")
            if reply is None:
                return
            self.wfile.write(struct.pack("!H", len(reply)) + reply)


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    block_on_close = False
    max_packet_size = 65535


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


def _bind_both(owner, host, port):
    """The same port for both; another process may hold the TCP one, then the next try takes another."""
    for _ in range(20):
        udp = _Udp((host, port), _UdpHandler)
        try:
            tcp = _Tcp(udp.server_address, _TcpHandler)
        except OSError:
            udp.server_close()
            continue
        udp.owner = tcp.owner = owner
        return udp, tcp
    raise OSError("no port that is free for UDP and TCP")
