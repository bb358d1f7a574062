{
  description = "Runs LLM-agent Workers and lets Backends follow their events over WebSocket without a silent gap";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
      ];
      forAllSystems =
        outputsFor:
        builtins.listToAttrs (
          map (system: {
            name = system;
            value = outputsFor nixpkgs.legacyPackages.${system} self.packages.${system};
          }) systems
        );
    in
    {
      packages = forAllSystems (
        pkgs: _: rec {
          yoi = pkgs.callPackage ./nix/package.nix { };
          default = yoi;
        }
      );

      apps = forAllSystems (
        _: packages: rec {
          yoi-runtime = {
            type = "app";
            program = "${packages.yoi}/bin/yoi-runtime";
          };
          default = yoi-runtime;
        }
      );

      # Building a package runs its tests.
      checks = forAllSystems (
        pkgs: packages: {
          yoi = packages.yoi;
          core-without-tornado = pkgs.callPackage ./nix/package.nix { coreOnly = true; };
        }
      );

      devShells = forAllSystems (
        pkgs: packages: { default = pkgs.callPackage ./nix/devshell.nix { inherit (packages) yoi; }; }
      );

      overlays.default = final: _: { yoi = final.callPackage ./nix/package.nix { }; };

      nixosModules.default = import ./nix/module.nix self;

      formatter = forAllSystems (pkgs: _: pkgs.nixfmt);
    };
}
