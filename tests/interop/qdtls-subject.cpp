/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Qt's own QDtls, and its QDtlsClientVerifier, member by member: a line of the standard input is
 * one call (subject.h has the language). It answers with "sent HEX" for each datagram that Qt sent,
 * and then with one line of all that can be observed of the object afterwards.
 *
 * It knows Qt alone: no network, no time of its own, so that what it prints is Qt's behaviour.
 */

#include "qdtls-words.h"

#include <QCoreApplication>
#include <QElapsedTimer>
#include <QHash>
#include <QSslCertificate>
#include <QSslCipher>
#include <QSslConfiguration>
#include <QSslPreSharedKeyAuthenticator>
#include <QUdpSocket>

#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

namespace {

constexpr qint64 timeout_limit_msec = 60000;

using Words = QByteArrayList;

/* Connected as far as QDtls can see; what is written to it is said, and goes nowhere. */
class Wire : public QUdpSocket {
      public:
        Wire() {
                setSocketState(QAbstractSocket::ConnectedState);
                setOpenMode(QIODevice::ReadWrite | QIODevice::Unbuffered);
        }

      protected:
        qint64 writeData(const char *data, qint64 size) override {
                say("sent " + QByteArray(data, size).toHex());
                return size;
        }
};

QByteArray yes(bool value) {
        return value ? "true" : "false";
}

template <typename Enum> QByteArray key_of(Enum value) {
        return QMetaEnum::fromType<Enum>().valueToKey(int(value));
}

/* QSsl has no meta object: the words are those of its header. */
const QHash<QByteArray, QSsl::SslProtocol> protocols = {
        {"DtlsV1_0", QSsl::DtlsV1_0},
        {"DtlsV1_0OrLater", QSsl::DtlsV1_0OrLater},
        {"DtlsV1_2", QSsl::DtlsV1_2},
        {"DtlsV1_2OrLater", QSsl::DtlsV1_2OrLater},
        {"TlsV1_2", QSsl::TlsV1_2},
        {"TlsV1_2OrLater", QSsl::TlsV1_2OrLater},
        {"UnknownProtocol", QSsl::UnknownProtocol},
};

QByteArray verify_mode_name(QSslSocket::PeerVerifyMode mode) {
        switch (mode) {
        case QSslSocket::VerifyNone:
                return "VerifyNone";
        case QSslSocket::QueryPeer:
                return "QueryPeer";
        case QSslSocket::VerifyPeer:
                return "VerifyPeer";
        case QSslSocket::AutoVerifyPeer:
                return "AutoVerifyPeer";
        }
        return "?";
}

QByteArray datagram(const QByteArray &word) {
        return word == "-" ? QByteArray() : QByteArray::fromHex(word);
}

/* "*N" is N bytes. */
QByteArray plaintext(const QByteArray &word) {
        return word.startsWith('*') ? QByteArray(word.mid(1).toInt(), 'x') : word;
}

using Setter = std::function<void(QSslConfiguration &, const QByteArray &)>;

const QHash<QByteArray, Setter> setters = {
        {"protocol",
         [](QSslConfiguration &c, const QByteArray &v) { c.setProtocol(protocols.value(v)); }},
        {"verify",
         [](QSslConfiguration &c, const QByteArray &v) { c.setPeerVerifyMode(verify_mode(v)); }},
        {"depth",
         [](QSslConfiguration &c, const QByteArray &v) { c.setPeerVerifyDepth(v.toInt()); }},
        {"ca",
         [](QSslConfiguration &c, const QByteArray &v) {
                 c.setCaCertificates(QSslCertificate::fromData(file(v)));
         }},
        {"certificate",
         [](QSslConfiguration &c, const QByteArray &v) {
                 c.setLocalCertificateChain(QSslCertificate::fromData(file(v)));
         }},
        {"key", [](QSslConfiguration &c, const QByteArray &v) { c.setPrivateKey(private_key(v)); }},
        {"hint",
         [](QSslConfiguration &c, const QByteArray &v) { c.setPreSharedKeyIdentityHint(v); }},
        {"ciphers",
         [](QSslConfiguration &c, const QByteArray &v) { c.setCiphers(QString::fromUtf8(v)); }},
        {"cookies", [](QSslConfiguration &c,
                       const QByteArray &v) { c.setDtlsCookieVerificationEnabled(v == "true"); }},
        {"client-order",
         [](QSslConfiguration &c, const QByteArray &v) {
                 c.setSslOption(QSsl::SslOptionDisableServerCipherPreference, v == "true");
         }},
        {"interrupt", [](QSslConfiguration &c,
                         const QByteArray &v) { c.setHandshakeMustInterruptOnError(v == "true"); }},
        {"missing-is-fatal",
         [](QSslConfiguration &c, const QByteArray &v) {
                 c.setMissingCertificateIsFatal(v == "true");
         }},
};

QByteArray cipher_members(const QSslCipher &cipher) {
        return cipher.name().toUtf8() + ',' + QByteArray::number(cipher.supportedBits()) + ',' +
               QByteArray::number(cipher.usedBits()) + ',' + cipher.keyExchangeMethod().toUtf8() +
               ',' + cipher.authenticationMethod().toUtf8() + ',' +
               cipher.encryptionMethod().toUtf8() + ',' + protocols.key(cipher.protocol());
}

class Subject {
      public:
        void obey(const QByteArray &line);

      private:
        using Call = QByteArray (Subject::*)(const Words &);

        QByteArray create(const Words &words);
        QByteArray create_verifier(const Words &words);
        QByteArray set_peer(const Words &words);
        QByteArray set_peer_verification_name(const Words &words);
        QByteArray set_mtu_hint(const Words &words);
        QByteArray configure(const Words &words);
        QByteArray set_cookies(const Words &words);
        QByteArray ignore(const Words &words);
        QByteArray arm_psk(const Words &words);
        QByteArray do_handshake(const Words &words);
        QByteArray wait_timeout(const Words &words);
        QByteArray wait_state(const Words &words);
        QByteArray handle_timeout(const Words &words);
        QByteArray resume(const Words &words);
        QByteArray abort(const Words &words);
        QByteArray shutdown(const Words &words);
        QByteArray write(const Words &words);
        QByteArray decrypt(const Words &words);
        QByteArray verify(const Words &words);
        QByteArray set_verifier_cookies(const Words &words);
        QByteArray show(const Words &words);
        QByteArray nothing(const Words &words);

        void answer_psk(QSslPreSharedKeyAuthenticator *authenticator);
        QByteArray verification_errors() const;
        QByteArray observe(const QByteArray &result);

        static const QHash<QByteArray, Call> calls;

        Wire wire_;
        QByteArray identity_, key_;
        QByteArrayList signals_;
        std::unique_ptr<QDtls> dtls_ = std::make_unique<QDtls>(QSslSocket::SslClientMode);
        std::unique_ptr<QDtlsClientVerifier> verifier_ = std::make_unique<QDtlsClientVerifier>();
};

const QHash<QByteArray, Subject::Call> Subject::calls = {
        {"new", &Subject::create},
        {"new-verifier", &Subject::create_verifier},
        {"set-peer", &Subject::set_peer},
        {"set-peer-verification-name", &Subject::set_peer_verification_name},
        {"set-mtu-hint", &Subject::set_mtu_hint},
        {"configure", &Subject::configure},
        {"set-cookies", &Subject::set_cookies},
        {"ignore", &Subject::ignore},
        {"psk", &Subject::arm_psk},
        {"do-handshake", &Subject::do_handshake},
        {"wait-timeout", &Subject::wait_timeout},
        {"wait-state", &Subject::wait_state},
        {"handle-timeout", &Subject::handle_timeout},
        {"resume", &Subject::resume},
        {"abort", &Subject::abort},
        {"shutdown", &Subject::shutdown},
        {"write", &Subject::write},
        {"decrypt", &Subject::decrypt},
        {"verify", &Subject::verify},
        {"set-verifier-cookies", &Subject::set_verifier_cookies},
        {"show", &Subject::show},
        {"observe", &Subject::nothing},
};

QByteArray Subject::create(const Words &words) {
        dtls_ = std::make_unique<QDtls>(words[1] == "server" ? QSslSocket::SslServerMode
                                                             : QSslSocket::SslClientMode);
        identity_.clear();
        key_.clear();
        QObject::connect(dtls_.get(), &QDtls::handshakeTimeout, dtls_.get(),
                         [this] { signals_.append("handshakeTimeout"); });
        QObject::connect(dtls_.get(), &QDtls::pskRequired, dtls_.get(),
                         [this](QSslPreSharedKeyAuthenticator *authenticator) {
                                 answer_psk(authenticator);
                         });
        return "true";
}

QByteArray Subject::create_verifier(const Words &) {
        verifier_ = std::make_unique<QDtlsClientVerifier>();
        return "true";
}

void Subject::answer_psk(QSslPreSharedKeyAuthenticator *authenticator) {
        signals_.append("pskRequired(" + authenticator->identityHint() + ',' +
                        authenticator->identity() + ',' +
                        QByteArray::number(authenticator->maximumIdentityLength()) + ',' +
                        QByteArray::number(authenticator->maximumPreSharedKeyLength()) + ')');
        if (dtls_->sslMode() == QSslSocket::SslClientMode)
                authenticator->setIdentity(identity_);
        authenticator->setPreSharedKey(key_);
}

QByteArray Subject::set_peer(const Words &words) {
        return yes(dtls_->setPeer(QHostAddress(QString(words[1])), words[2].toUShort(),
                                  words.value(3)));
}

QByteArray Subject::set_peer_verification_name(const Words &words) {
        return yes(dtls_->setPeerVerificationName(words[1]));
}

QByteArray Subject::set_mtu_hint(const Words &words) {
        dtls_->setMtuHint(words[1].toUShort());
        return "true";
}

QByteArray Subject::configure(const Words &words) {
        QSslConfiguration configuration = QSslConfiguration::defaultDtlsConfiguration();

        for (const QByteArray &word : words.mid(1)) {
                const QByteArray key = word.left(word.indexOf('='));

                if (!setters.contains(key))
                        give_up("no option " + key);
                setters[key](configuration, word.mid(key.size() + 1));
        }
        return yes(dtls_->setDtlsConfiguration(configuration));
}

QByteArray Subject::set_cookies(const Words &words) {
        return yes(dtls_->setCookieGeneratorParameters({hash(words[1]), words.value(2)}));
}

/* NAME@FILE, or NAME@none for an error of no certificate. */
QByteArray Subject::ignore(const Words &words) {
        QList<QSslError> errors;

        for (const QByteArray &word : words.mid(1)) {
                const QByteArrayList parts = word.split('@');
                const auto error = QSslError::SslError(
                        QMetaEnum::fromType<QSslError::SslError>().keyToValue(parts[0]));

                errors += parts[1] == "none"
                                  ? QSslError(error)
                                  : QSslError(error,
                                              QSslCertificate::fromData(file(parts[1])).first());
        }
        dtls_->ignoreVerificationErrors(errors);
        return "true";
}

QByteArray Subject::arm_psk(const Words &words) {
        identity_ = words[1];
        key_ = words[2];
        return "true";
}

QByteArray Subject::do_handshake(const Words &words) {
        const QByteArray hello =
                words[1] == "verified" ? verifier_->verifiedHello() : datagram(words[1]);

        return yes(dtls_->doHandshake(&wire_, hello));
}

QByteArray Subject::wait_timeout(const Words &) {
        QElapsedTimer timer;

        timer.start();
        while (signals_.isEmpty() && timer.elapsed() < timeout_limit_msec)
                QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents, 50);
        return yes(!signals_.isEmpty());
}

/* Nothing but calls changes it. */
QByteArray Subject::wait_state(const Words &words) {
        return yes(words[1] == state_name(dtls_->handshakeState()));
}

QByteArray Subject::handle_timeout(const Words &) {
        return yes(dtls_->handleTimeout(&wire_));
}

QByteArray Subject::resume(const Words &) {
        return yes(dtls_->resumeHandshake(&wire_));
}

QByteArray Subject::abort(const Words &) {
        return yes(dtls_->abortHandshake(&wire_));
}

QByteArray Subject::shutdown(const Words &) {
        return yes(dtls_->shutdown(&wire_));
}

QByteArray Subject::write(const Words &words) {
        return QByteArray::number(dtls_->writeDatagramEncrypted(&wire_, plaintext(words.value(1))));
}

QByteArray Subject::decrypt(const Words &words) {
        return '"' + dtls_->decryptDatagram(&wire_, datagram(words[1])) + '"';
}

QByteArray Subject::verify(const Words &words) {
        return yes(verifier_->verifyClient(&wire_, datagram(words[1]),
                                           QHostAddress(QString(words[2])), words[3].toUShort()));
}

QByteArray Subject::set_verifier_cookies(const Words &words) {
        return yes(verifier_->setCookieGeneratorParameters({hash(words[1]), words.value(2)}));
}

QByteArray Subject::show(const Words &words) {
        const QSslConfiguration configuration = dtls_->dtlsConfiguration();
        const QDtlsClientVerifier::GeneratorParameters cookies = dtls_->cookieGeneratorParameters();

        if (words[1] == "cipher")
                return cipher_members(dtls_->sessionCipher());
        if (words[1] == "cookie-hash")
                return key_of(cookies.hash);
        if (words[1] == "cookie-secret")
                return cookies.secret;
        if (words[1] == "mode")
                return dtls_->sslMode() == QSslSocket::SslServerMode ? "server" : "client";
        if (words[1] == "protocol")
                return protocols.key(configuration.protocol());
        if (words[1] == "verify")
                return verify_mode_name(configuration.peerVerifyMode());
        if (words[1] == "depth")
                return QByteArray::number(configuration.peerVerifyDepth());
        if (words[1] == "hint")
                return configuration.preSharedKeyIdentityHint();
        give_up("nothing to show: " + words[1]);
}

QByteArray Subject::nothing(const Words &) {
        return "true";
}

QByteArray Subject::verification_errors() const {
        const QSslCertificate leaf = dtls_->dtlsConfiguration().peerCertificate();
        QByteArrayList names;

        for (const QSslError &error : dtls_->peerVerificationErrors())
                names.append(key_of(error.error()) + (error.certificate().isNull()  ? "@none"
                                                      : error.certificate() == leaf ? "@leaf"
                                                                                    : "@other"));
        std::sort(names.begin(), names.end());
        return names.join(',');
}

QByteArray Subject::observe(const QByteArray &result) {
        const QByteArray line =
                "result=" + result + "\tstate=" + state_name(dtls_->handshakeState()) +
                "\terror=" + error_name(dtls_->dtlsError()) +
                "\ttext=" + yes(!dtls_->dtlsErrorString().isEmpty()) +
                "\tencrypted=" + yes(dtls_->isConnectionEncrypted()) +
                "\tcipher=" + yes(!dtls_->sessionCipher().isNull()) +
                "\tprotocol=" + protocols.key(dtls_->sessionProtocol()) +
                "\tpeer=" + dtls_->peerAddress().toString().toUtf8() + ' ' +
                QByteArray::number(dtls_->peerPort()) +
                "\tname=" + dtls_->peerVerificationName().toUtf8() +
                "\tmtu=" + QByteArray::number(dtls_->mtuHint()) + "\tchain=" +
                QByteArray::number(dtls_->dtlsConfiguration().peerCertificateChain().size()) +
                "\tverification=" + verification_errors() +
                "\tverifier=" + error_name(verifier_->dtlsError()) +
                "\tsignals=" + signals_.join('+');

        signals_.clear();
        return line;
}

void Subject::obey(const QByteArray &line) {
        const Words words = line.split(' ');

        if (!calls.contains(words[0]))
                give_up("no call " + words[0]);
        say(observe((this->*calls[words[0]])(words)));
}

} // namespace

int main(int argc, char **argv) {
        QCoreApplication application(argc, argv);
        Subject subject;
        std::string line;

        /* Qt warns of its own timers, on the stream that answers are read from */
        qInstallMessageHandler([](QtMsgType, const QMessageLogContext &, const QString &) {});
        while (std::getline(std::cin, line))
                subject.obey(QByteArray::fromStdString(line));
        return 0;
}
