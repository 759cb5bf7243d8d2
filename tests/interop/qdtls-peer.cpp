/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Qt's own QDtls as one end of one association, for tests: driven by its command line, it prints a
 * line for whatever QDtls says. What a line of its standard input has is sent as one datagram,
 * "/shutdown" calls QDtls::shutdown. The options and the lines are those of puppet.h.
 *
 * It knows Qt alone, so that what it prints is Qt's behaviour and nobody else's.
 */

#include "qdtls-words.h"

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QSet>
#include <QSocketNotifier>
#include <QSslCertificate>
#include <QSslCipher>
#include <QSslConfiguration>
#include <QSslPreSharedKeyAuthenticator>
#include <QUdpSocket>

#include <memory>
#include <unistd.h>

namespace {

void say_error(QDtlsError error, const QString &text) {
        say(QByteArray("error ") + error_name(error) + ": " + text.toUtf8());
}

class End {
      public:
        explicit End(const QCommandLineParser &arguments)
            : arguments_(arguments), server_(arguments.positionalArguments().value(0) == "server") {
                for (const QString &number : arguments.value("drop").split(',', Qt::SkipEmptyParts))
                        dropped_.insert(number.toInt());
        }

        void start();

      private:
        QSslConfiguration configuration() const;
        QDtlsClientVerifier::GeneratorParameters cookie_parameters() const;
        void make_association(const QHostAddress &address, quint16 port);
        void answer_psk(QSslPreSharedKeyAuthenticator *authenticator);
        void time_out();
        void arrive();
        void meet(const QHostAddress &address, quint16 port, const QByteArray &datagram);
        void take(const QByteArray &datagram);
        void decrypt(const QByteArray &datagram);
        void shake_hands(const QByteArray &datagram);
        void say_state();
        void distrust();
        void command();
        void obey(const QByteArray &line);

        const QCommandLineParser &arguments_;
        const bool server_;
        QSet<int> dropped_;
        int arrived_ = 0;
        QByteArray typed_;
        QDtls::HandshakeState said_ = QDtls::HandshakeState::HandshakeNotStarted;
        QUdpSocket socket_;
        QDtlsClientVerifier verifier_;
        std::unique_ptr<QDtls> dtls_;
        std::unique_ptr<QSocketNotifier> typing_;
};

QSslConfiguration End::configuration() const {
        QSslConfiguration configuration = QSslConfiguration::defaultDtlsConfiguration();

        configuration.setPeerVerifyMode(verify_mode(arguments_.value("verify")));
        if (arguments_.isSet("ca"))
                configuration.setCaCertificates(
                        QSslCertificate::fromData(file(arguments_.value("ca"))));
        if (arguments_.isSet("certificate")) {
                configuration.setLocalCertificateChain(
                        QSslCertificate::fromData(file(arguments_.value("certificate"))));
                configuration.setPrivateKey(private_key(arguments_.value("key")));
        }
        if (arguments_.isSet("hint"))
                configuration.setPreSharedKeyIdentityHint(arguments_.value("hint").toUtf8());
        if (arguments_.isSet("ciphers"))
                configuration.setCiphers(arguments_.value("ciphers"));
        configuration.setDtlsCookieVerificationEnabled(server_ &&
                                                       arguments_.isSet("cookie-secret"));
        return configuration;
}

QDtlsClientVerifier::GeneratorParameters End::cookie_parameters() const {
        return {hash(arguments_.value("cookie-hash")), arguments_.value("cookie-secret").toUtf8()};
}

void End::start() {
        if (server_) {
                if (!socket_.bind(QHostAddress::LocalHost, 0))
                        give_up(socket_.errorString());
                if (arguments_.isSet("cookie-secret") &&
                    !verifier_.setCookieGeneratorParameters(cookie_parameters()))
                        give_up(verifier_.dtlsErrorString());
                say("listening " + QByteArray::number(socket_.localPort()));
        } else {
                const quint16 port = arguments_.value("port").toUShort();

                socket_.connectToHost(QHostAddress(QHostAddress::LocalHost), port);
                make_association(QHostAddress::LocalHost, port);
        }
        QObject::connect(&socket_, &QUdpSocket::readyRead, &socket_, [this] { arrive(); });
        typing_ = std::make_unique<QSocketNotifier>(STDIN_FILENO, QSocketNotifier::Read);
        QObject::connect(typing_.get(), &QSocketNotifier::activated, typing_.get(),
                         [this] { command(); });
        if (!server_)
                shake_hands({});
}

void End::make_association(const QHostAddress &address, quint16 port) {
        dtls_ = std::make_unique<QDtls>(server_ ? QSslSocket::SslServerMode
                                                : QSslSocket::SslClientMode);
        QObject::connect(dtls_.get(), &QDtls::handshakeTimeout, dtls_.get(),
                         [this] { time_out(); });
        QObject::connect(dtls_.get(), &QDtls::pskRequired, dtls_.get(),
                         [this](QSslPreSharedKeyAuthenticator *authenticator) {
                                 answer_psk(authenticator);
                         });
        if (!dtls_->setPeer(address, port, server_ ? QString() : arguments_.value("name")) ||
            !dtls_->setDtlsConfiguration(configuration()))
                give_up(dtls_->dtlsErrorString());
        /* Qt 6.4 sets them and returns false all the same */
        if (server_ && arguments_.isSet("cookie-secret"))
                dtls_->setCookieGeneratorParameters(cookie_parameters());
        if (dtls_->dtlsError() != QDtlsError::NoError)
                give_up(dtls_->dtlsErrorString());
}

void End::answer_psk(QSslPreSharedKeyAuthenticator *authenticator) {
        say("psk-required hint=" + authenticator->identityHint() +
            " identity=" + authenticator->identity() +
            " maximum-identity=" + QByteArray::number(authenticator->maximumIdentityLength()) +
            " maximum-key=" + QByteArray::number(authenticator->maximumPreSharedKeyLength()));
        if (!arguments_.isSet("psk"))
                return;
        if (!server_)
                authenticator->setIdentity(arguments_.value("identity").toUtf8());
        if (!server_ || authenticator->identity() == arguments_.value("identity").toUtf8())
                authenticator->setPreSharedKey(arguments_.value("psk").toUtf8());
}

void End::time_out() {
        say("timeout");
        if (!dtls_->handleTimeout(&socket_))
                say_error(dtls_->dtlsError(), dtls_->dtlsErrorString());
}

void End::arrive() {
        while (socket_.hasPendingDatagrams()) {
                QByteArray datagram(int(socket_.pendingDatagramSize()), '\0');
                QHostAddress address;
                quint16 port = 0;

                const qint64 size =
                        socket_.readDatagram(datagram.data(), datagram.size(), &address, &port);
                if (size <= 0)
                        continue;
                datagram.resize(int(size));
                if (dropped_.contains(++arrived_))
                        say("dropped " + QByteArray::number(arrived_));
                else if (!dtls_)
                        meet(address, port, datagram);
                else
                        take(datagram);
        }
}

void End::meet(const QHostAddress &address, quint16 port, const QByteArray &datagram) {
        if (!arguments_.isSet("cookie-secret")) {
                make_association(address, port);
                shake_hands(datagram);
                return;
        }
        if (!verifier_.verifyClient(&socket_, datagram, address, port)) {
                say("not verified");
                if (verifier_.dtlsError() != QDtlsError::NoError)
                        say_error(verifier_.dtlsError(), verifier_.dtlsErrorString());
                return;
        }
        say("verified");
        make_association(address, port);
        shake_hands(verifier_.verifiedHello());
}

void End::take(const QByteArray &datagram) {
        if (dtls_->isConnectionEncrypted())
                decrypt(datagram);
        else if (dtls_->handshakeState() == QDtls::HandshakeState::HandshakeInProgress)
                shake_hands(datagram);
}

void End::decrypt(const QByteArray &datagram) {
        const QByteArray text = dtls_->decryptDatagram(&socket_, datagram);

        if (!text.isEmpty())
                say("received " + text);
        else if (dtls_->dtlsError() != QDtlsError::NoError)
                say_error(dtls_->dtlsError(), dtls_->dtlsErrorString());
        say_state();
}

void End::shake_hands(const QByteArray &datagram) {
        const bool done = dtls_->doHandshake(&socket_, datagram);

        say_state();
        if (!done)
                say_error(dtls_->dtlsError(), dtls_->dtlsErrorString());
        if (dtls_->handshakeState() == QDtls::HandshakeState::PeerVerificationFailed)
                distrust();
}

void End::say_state() {
        if (dtls_->handshakeState() == said_)
                return;
        said_ = dtls_->handshakeState();
        say(QByteArray("state ") + state_name(said_));
        if (dtls_->isConnectionEncrypted())
                say("encrypted " + dtls_->sessionCipher().name().toUtf8());
}

void End::distrust() {
        const auto errors = dtls_->peerVerificationErrors();

        for (const QSslError &error : errors)
                say(QByteArray("verification-error ") +
                    QMetaEnum::fromType<QSslError::SslError>().valueToKey(error.error()));
        if (arguments_.isSet("ignore")) {
                dtls_->ignoreVerificationErrors(errors);
                if (!dtls_->resumeHandshake(&socket_))
                        say_error(dtls_->dtlsError(), dtls_->dtlsErrorString());
        } else if (!dtls_->abortHandshake(&socket_)) {
                say_error(dtls_->dtlsError(), dtls_->dtlsErrorString());
        }
        say_state();
}

void End::command() {
        char buffer[4096];
        const ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);

        if (n <= 0) {
                QCoreApplication::quit();
                return;
        }
        typed_.append(buffer, int(n));
        for (qsizetype end = typed_.indexOf('\n'); end >= 0; end = typed_.indexOf('\n')) {
                obey(typed_.left(end));
                typed_.remove(0, end + 1);
        }
}

void End::obey(const QByteArray &line) {
        bool done = false;

        if (!dtls_)
                return;
        if (line == "/shutdown")
                done = dtls_->shutdown(&socket_);
        else
                done = dtls_->writeDatagramEncrypted(&socket_, line) == line.size();
        if (!done)
                say_error(dtls_->dtlsError(), dtls_->dtlsErrorString());
        say_state();
}

} // namespace

int main(int argc, char **argv) {
        QCoreApplication application(argc, argv);
        QCommandLineParser arguments;

        arguments.addPositionalArgument("role", "client or server");
        arguments.addOptions({
                {"port", "The server's port at 127.0.0.1.", "number"},
                {"certificate", "Own certificate, PEM.", "file"},
                {"key", "Own key, PEM.", "file"},
                {"ca", "Who is trusted, PEM.", "file"},
                {"verify", "QSslSocket::PeerVerifyMode.", "mode", "AutoVerifyPeer"},
                {"name", "What a server's certificate has to say.", "name"},
                {"ignore", "Resumes in spite of every verification error."},
                {"identity", "PSK identity.", "text"},
                {"psk", "Pre-shared key.", "text"},
                {"hint", "A server's PSK identity hint.", "text"},
                {"ciphers", "OpenSSL's names, with colons between.", "list"},
                {"cookie-hash", "QCryptographicHash::Algorithm.", "name", "Sha256"},
                {"cookie-secret", "A server's; it verifies clients if given.", "text"},
                {"drop", "Datagrams to lose, by number of arrival from 1.", "numbers"},
        });
        arguments.process(application);

        End end(arguments);
        end.start();
        return application.exec();
}
