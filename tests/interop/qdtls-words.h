/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Words of Qt's, and what both of our programs around QDtls read and say: lines of text.
 */

#include <QCryptographicHash>
#include <QDtls>
#include <QFile>
#include <QMetaEnum>
#include <QSslKey>
#include <QSslSocket>

#include <cstdio>
#include <cstdlib>

inline void say(const QByteArray &line) {
        std::printf("%s\n", line.constData());
        std::fflush(stdout);
}

[[noreturn]] inline void give_up(const QString &why) {
        say("cannot: " + why.toUtf8());
        std::exit(1);
}

inline const char *state_name(QDtls::HandshakeState state) {
        switch (state) {
        case QDtls::HandshakeState::HandshakeNotStarted:
                return "HandshakeNotStarted";
        case QDtls::HandshakeState::HandshakeInProgress:
                return "HandshakeInProgress";
        case QDtls::HandshakeState::PeerVerificationFailed:
                return "PeerVerificationFailed";
        case QDtls::HandshakeState::HandshakeComplete:
                return "HandshakeComplete";
        }
        return "?";
}

inline const char *error_name(QDtlsError error) {
        switch (error) {
        case QDtlsError::NoError:
                return "NoError";
        case QDtlsError::InvalidInputParameters:
                return "InvalidInputParameters";
        case QDtlsError::InvalidOperation:
                return "InvalidOperation";
        case QDtlsError::UnderlyingSocketError:
                return "UnderlyingSocketError";
        case QDtlsError::RemoteClosedConnectionError:
                return "RemoteClosedConnectionError";
        case QDtlsError::PeerVerificationError:
                return "PeerVerificationError";
        case QDtlsError::TlsInitializationError:
                return "TlsInitializationError";
        case QDtlsError::TlsFatalError:
                return "TlsFatalError";
        case QDtlsError::TlsNonFatalError:
                return "TlsNonFatalError";
        }
        return "?";
}

inline QByteArray file(const QString &path) {
        QFile from(path);

        if (!from.open(QIODevice::ReadOnly))
                give_up(path + ": " + from.errorString());
        return from.readAll();
}

/* A PEM key may be of either type; Qt 6.4 reads no others. */
inline QSslKey private_key(const QString &path) {
        const QByteArray pem = file(path);

        for (const QSsl::KeyAlgorithm algorithm : {QSsl::Ec, QSsl::Rsa}) {
                const QSslKey key(pem, algorithm, QSsl::Pem, QSsl::PrivateKey);

                if (!key.isNull())
                        return key;
        }
        give_up(path + ": no key that Qt reads");
}

inline QSslSocket::PeerVerifyMode verify_mode(const QString &name) {
        if (name == "VerifyNone")
                return QSslSocket::VerifyNone;
        if (name == "QueryPeer")
                return QSslSocket::QueryPeer;
        if (name == "VerifyPeer")
                return QSslSocket::VerifyPeer;
        return QSslSocket::AutoVerifyPeer;
}

inline QCryptographicHash::Algorithm hash(const QString &name) {
        bool ok = false;
        const int value = QMetaEnum::fromType<QCryptographicHash::Algorithm>().keyToValue(
                name.toUtf8().constData(), &ok);

        if (!ok)
                give_up(name + ": no such hash");
        return QCryptographicHash::Algorithm(value);
}
