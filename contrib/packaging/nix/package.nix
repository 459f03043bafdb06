# SPDX-License-Identifier: ISC
{ lib, stdenv, autoreconfHook, check, perl }:

stdenv.mkDerivation {
  pname = "cgibridge";
  version = "0.1.0";
  src = ../../..;

  nativeBuildInputs = [ autoreconfHook perl ];
  nativeCheckInputs = [ check ];
  doCheck = true;
  checkFlags = [ "TESTS=$(unit_tests)" ];

  meta = {
    description = "Runs CGI scripts behind nginx and other FastCGI clients";
    license = lib.licenses.isc;
    mainProgram = "cgibridge";
    platforms = lib.platforms.unix;
  };
}
