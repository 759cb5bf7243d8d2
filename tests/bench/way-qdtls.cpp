// SPDX-License-Identifier: LGPL-2.1-or-later
// Qt's QDtls in the program itself, with QUdpSocket and Qt's event loop, one QDtls a peer.

#include "bench.h"

#include <QtCore/QCoreApplication>
#include <QtCore/QFile>
#include <QtCore/QHash>
#include <QtNetwork/QDtls>
#include <QtNetwork/QSslCertificate>
#include <QtNetwork/QSslCipher>
#include <QtNetwork/QSslConfiguration>
#include <QtNetwork/QSslEllipticCurve>
#include <QtNetwork/QSslKey>
#include <QtNetwork/QSslPreSharedKeyAuthenticator>
#include <QtNetwork/QUdpSocket>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>

namespace {

struct End {
        std::unique_ptr<QUdpSocket> own; // a client's
        QUdpSocket *socket = nullptr;
        QDtls dtls;
        BenchGot got = nullptr;
        bool opened = false; // once; the peer may have said goodbye since

        explicit End(QSslSocket::SslMode mode) : dtls(mode) {
        }
};

BenchKind kind;
bool isServer;
QCoreApplication *application;

QUdpSocket *listening;
QDtlsClientVerifier *verifier;
QHash<quint16, End *> ends; // all peers are on one host: the port tells them apart
std::deque<End *> accepted;

void must(bool done, const char *what, const QString &why) {
        if (!done)
                bench_die(what, qPrintable(why));
}

QFile *open(const char *name) {
        char *path = bench_certificate(name);
        auto *file = new QFile(QString::fromLocal8Bit(path));

        must(file->open(QIODevice::ReadOnly), path, file->errorString());
        std::free(path);
        return file;
}

QSslConfiguration makeConfiguration() {
        QSslConfiguration c = QSslConfiguration::defaultDtlsConfiguration();
        std::unique_ptr<QFile> chain, key;

        c.setProtocol(QSsl::DtlsV1_2);
        c.setCiphers(QString::fromLatin1(bench_cipher(kind)));
        c.setEllipticCurves({QSslEllipticCurve::fromShortName(QStringLiteral("prime256v1"))});
        c.setPeerVerifyMode(isServer || kind == BENCH_PSK ? QSslSocket::VerifyNone
                                                          : QSslSocket::VerifyPeer);
        if (kind == BENCH_PSK) {
                if (isServer)
                        c.setPreSharedKeyIdentityHint("bench");
                return c;
        }

        chain.reset(open(isServer ? "server.pem" : "ca.pem"));
        if (!isServer) {
                c.setCaCertificates(QSslCertificate::fromDevice(chain.get()));
                return c;
        }

        key.reset(open("server.key"));
        c.setLocalCertificateChain(QSslCertificate::fromDevice(chain.get()));
        c.setPrivateKey(QSslKey(key.get(), kind == BENCH_RSA ? QSsl::Rsa : QSsl::Ec));
        return c;
}

const QSslConfiguration &configuration() {
        static const QSslConfiguration made = makeConfiguration();

        return made;
}

void givePsk(QSslPreSharedKeyAuthenticator *authenticator) {
        authenticator->setIdentity(BENCH_PSK_IDENTITY);
        authenticator->setPreSharedKey(BENCH_PSK_KEY);
}

End *newEnd(QUdpSocket *socket, const QHostAddress &peer, quint16 port) {
        auto *end = new End(isServer ? QSslSocket::SslServerMode : QSslSocket::SslClientMode);

        end->socket = socket;
        must(end->dtls.setDtlsConfiguration(configuration()), "configuration",
             end->dtls.dtlsErrorString());
        must(end->dtls.setPeer(peer, port,
                               kind == BENCH_PSK || isServer ? QString()
                                                             : QStringLiteral(BENCH_SERVER_NAME)),
             "peer", end->dtls.dtlsErrorString());
        QObject::connect(&end->dtls, &QDtls::pskRequired, &end->dtls, givePsk);
        QObject::connect(&end->dtls, &QDtls::handshakeTimeout, &end->dtls,
                         [end] { (void)end->dtls.handleTimeout(end->socket); });
        return end;
}

void shakeHands(End *end, const QByteArray &datagram) {
        must(end->dtls.doHandshake(end->socket, datagram), "handshake",
             end->dtls.dtlsErrorString());
        end->opened = end->dtls.isConnectionEncrypted();
        if (isServer && end->opened)
                accepted.push_back(end);
}

void take(End *end, const QByteArray &datagram) {
        if (!end->opened) {
                shakeHands(end, datagram);
                return;
        }

        const QByteArray plain = end->dtls.decryptDatagram(end->socket, datagram);
        if (end->got && !plain.isEmpty())
                end->got(end, plain.constData(), static_cast<size_t>(plain.size()));
}

void greet(const QByteArray &datagram, const QHostAddress &peer, quint16 port) {
        if (!verifier->verifyClient(listening, datagram, peer, port))
                return;

        End *end = newEnd(listening, peer, port);
        ends.insert(port, end);
        shakeHands(end, datagram);
}

void serverReads() {
        while (listening->hasPendingDatagrams()) {
                QByteArray datagram(static_cast<int>(listening->pendingDatagramSize()),
                                    Qt::Uninitialized);
                QHostAddress peer;
                quint16 port = 0;

                if (listening->readDatagram(datagram.data(), datagram.size(), &peer, &port) <= 0)
                        continue;

                End *end = ends.value(port);
                if (end)
                        take(end, datagram);
                else
                        greet(datagram, peer, port);
        }
}

void clientReads(End *end) {
        while (end->socket->hasPendingDatagrams()) {
                QByteArray datagram(static_cast<int>(end->socket->pendingDatagramSize()),
                                    Qt::Uninitialized);

                if (end->socket->readDatagram(datagram.data(), datagram.size()) > 0)
                        take(end, datagram);
        }
}

void turn() {
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
}

void wayBegin(BenchKind what, bool server) {
        static int argc = 1;
        static char name[] = "bench", *argv[] = {name, nullptr};

        qputenv("QT_LOGGING_RULES", "*.debug=false");
        kind = what;
        isServer = server;
        application = new QCoreApplication(argc, argv);
}

uint16_t wayListen() {
        uint16_t port = 0;

        listening = new QUdpSocket;
        verifier = new QDtlsClientVerifier;
        must(listening->setSocketDescriptor(bench_bind(&port, false), QAbstractSocket::BoundState),
             "socket", listening->errorString());
        QObject::connect(listening, &QUdpSocket::readyRead, listening, serverReads);
        return port;
}

void *wayAccept() {
        while (accepted.empty())
                turn();

        End *end = accepted.front();
        accepted.pop_front();
        return end;
}

void *wayConnect(uint16_t port) {
        auto own = std::make_unique<QUdpSocket>();

        must(own->setSocketDescriptor(bench_connect(port), QAbstractSocket::ConnectedState),
             "socket", own->errorString());
        End *end = newEnd(own.get(), QHostAddress(QHostAddress::LocalHost), port);
        end->own = std::move(own);
        QObject::connect(end->socket, &QUdpSocket::readyRead, &end->dtls,
                         [end] { clientReads(end); });
        must(end->dtls.doHandshake(end->socket), "handshake", end->dtls.dtlsErrorString());
        while (!end->opened)
                turn();
        return end;
}

void waySend(void *data, const void *bytes, size_t size) {
        End *end = static_cast<End *>(data);
        const QByteArray datagram(static_cast<const char *>(bytes), static_cast<int>(size));

        must(end->dtls.writeDatagramEncrypted(end->socket, datagram) > 0, "send",
             end->dtls.dtlsErrorString());
}

void wayPump(void *data, BenchGot got) {
        static_cast<End *>(data)->got = got;
        turn();
}

void wayClose(void *data) {
        End *end = static_cast<End *>(data);

        if (isServer) {
                ends.remove(end->dtls.peerPort());
                (void)end->dtls.shutdown(end->socket);
        }
        delete end;
}

const BenchWay qdtls = {
        wayBegin, wayListen, wayAccept, wayConnect, waySend, nullptr,
        wayPump,  nullptr,   nullptr,   wayClose,   nullptr,
};

const BenchWay *find(const char *variant) {
        return std::strcmp(variant, "qdtls") == 0 ? &qdtls : nullptr;
}

} // namespace

int main(int argc, char **argv) {
        return bench_main(argc, argv, find);
}
